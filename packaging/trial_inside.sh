#!/usr/bin/env bash
# The part of trial.sh that runs in the clean system: installs /trial/ckptviewer.deb, opens files as
# desktops do, in a window on a virtual display, and removes the package again.
set -uo pipefail
failures=0
check() { # check WHAT EXPECTED FOUND
    if [ "$2" = "$3" ]; then
        echo "good: $1"
    else
        echo "BAD:  $1: expected '$2', found '$3'"
        failures=$((failures + 1))
    fi
}
files() { find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /trial -o -path /tmp \
    -o -path /var/log -o -path /var/cache -o -path /var/lib/apt -o -path /home \) -prune \
    -o -print | sort; }
install() { apt-get install -qq -y --no-install-recommends "$@" >/dev/null 2>/trial/apt.log || cat /trial/apt.log; }

# What the trial itself needs, and what the package asks for: its removal is to leave just these.
install xvfb xdotool xclip openbox x11-apps imagemagick libglib2.0-bin procps
needed=$(dpkg-deb -f /trial/ckptviewer.deb Depends | sed 's/ *([^)]*)//g; s/ *| *[^,]*//g; s/,/ /g')
before_mime=$(cat /usr/share/applications/mimeinfo.cache 2>/dev/null | grep -c ckptviewer)
install $needed
useradd -m tester
files >/trial/before
apt-get install -y --no-install-recommends /trial/ckptviewer.deb >/trial/apt.log 2>&1
check "apt installs the package" 0 $?
check "dpkg has nothing to complain of" "" "$(dpkg --audit; dpkg --verify ckptviewer)"
# The plugin for GTK's look is loaded where GTK is there.
check "every shared library is found" "" "$(find /usr/lib/ckptviewer -name '*.so*' -type f \
    ! -name libqgtk3.so -exec env LD_LIBRARY_PATH=/usr/lib/ckptviewer/_internal:/usr/lib/ckptviewer/_internal/PySide6/Qt/lib \
    ldd {} + 2>/dev/null | grep 'not found' | sort -u | head -5)"
check "every link leads somewhere" "" "$(find /usr/lib/ckptviewer /usr/bin/ckptviewer -xtype l)"
check "ckptviewer --version" "ckptviewer $(dpkg-query -W -f '${Version}' ckptviewer)" "$(ckptviewer --version)"
check "what needs no window loads no Qt" 0 "$(LD_DEBUG=files ckptviewer --version 2>&1 | grep -c libQt6)"

mkdir -p /trial/pictures /home/tester/files
cd /home/tester/files
for part in index data-00000-of-00001; do
    cp /trial/demo/digits.ckpt-600.$part model.$part
    cp /trial/demo/digits.ckpt-40.$part other.$part
done
printf 'model_checkpoint_path: "model"\n' >checkpoint
touch model.ckpt model.meta model.keras model.weights.h5 model.weights.json model.safetensors \
    saved_model.pb model.h5 model.hdf5 model.npz model.data-00001-of-00002
mkdir saved ../copies ../steps ../large && touch saved/saved_model.pb
cp /trial/demo/digits.ckpt-* ../steps
chown -R tester: /home/tester

as_tester() { su tester -s /bin/bash -c "cd ~/files; export LANG=C.UTF-8 DISPLAY=$display XDG_RUNTIME_DIR=/home/tester/run; $1"; }
display=
for name in model.index model.data-00000-of-00001 model.data-00001-of-00002 model.ckpt model.meta \
    model.keras model.weights.h5 model.weights.json model.safetensors checkpoint saved_model.pb \
    model.h5 model.hdf5 model.npz; do
    type=$(as_tester "xdg-mime query filetype $name")
    check "$name ($type) is opened by ckptviewer" ckptviewer.desktop \
        "$(as_tester "xdg-mime query default $type")"
done
check "folders are left to the file manager" "" "$(as_tester 'xdg-mime query default inode/directory')"

# What is imported only when it is needed is in the package, too.
for copy in copy.ckpt copy.safetensors copy.weights.h5 copy.npz; do
    said=$(as_tester "ckptviewer export model.index ~/copies/$copy --json" 2>&1)
    found=$(grep -o '"verified": true' <<<"$said")
    check "export writes $copy and reads it back" '"verified": true' "${found:-$said}"
    check "$copy opens" 0 "$(as_tester "ckptviewer list ~/copies/$copy" >/dev/null 2>&1; echo $?)"
done
for words in "stats /trial/demo/digits.keras" "stats ~/copies/copy.weights.h5" "doctor model" \
    "rescue model ~/copies/rescued" "average model other ~/copies/mean" \
    "compare model model --html ~/copies/report.html" "prune ~/steps --keep-last 1 --yes"; do
    check "ckptviewer $words" 0 "$(as_tester "ckptviewer $words" >/trial/said.log 2>&1; echo $?)"
done
check "what was pruned lies in the trash" \
    "digits.ckpt-40.data-00000-of-00001 digits.ckpt-40.index" \
    "$(as_tester 'ls -x -w 200 ~/.local/share/Trash/files' | tr -s ' ')"

# The inner loops are the compiled ones, once the work is large enough to be worth their loading.
large() { # large FILE WORD: 40 Mi values, the word again and again
    header='{"kernel":{"dtype":"F32","shape":[40,1048576],"data_offsets":[0,167772160]}}    '
    printf "\\x$(printf %x ${#header})\0\0\0\0\0\0\0%s" "$header" >"$1"
    yes "$2" | head -c 167772160 >>"$1"
}
large /home/tester/large/model-1.safetensors yes
large /home/tester/large/model-2.safetensors no!
loops() { # loops SUBCOMMAND...: the libraries of loops that it loads
    as_tester "cd ~/large; LD_DEBUG=files ckptviewer $* 2>&1 >/dev/null" |
        grep -oE 'calling init: .*/kernels/[a-z]+' | sed 's|.*/||' | sort -u
}
if grep -qw avx2 /proc/cpuinfo; then
    check "statistics use the shipped loops" statistics "$(loops stats model-1.safetensors)"
    check "comparisons use the shipped loops" comparison \
        "$(loops compare model-1.safetensors model-2.safetensors)"
    check "a training's series use the shipped loops" updates "$(loops run . --series update)"
fi
rm -r /home/tester/large

# A display, a window manager, and a directory for this session.
su tester -s /bin/bash -c 'mkdir -m 700 ~/run'
mkfifo /trial/number
Xvfb -displayfd 3 -screen 0 1400x900x24 -nolisten tcp 3>/trial/number 2>/dev/null &
server=$!
read -r number </trial/number
display=:$number
as_tester "openbox" >/dev/null 2>&1 &
sleep 1

window() { # window TITLE: its number, once it is there
    for _ in $(seq 100); do
        found=$(as_tester "xdotool search --onlyvisible --name '^$1\$'" 2>/dev/null | tail -1)
        [ -n "$found" ] && break
        sleep 0.1
    done
    echo "$found"
}
tree() { # tree TITLE: whether the window copies the keys of the checkpoint's tree
    number=$(window "$1")
    for _ in $(seq 20); do
        as_tester "xdotool windowactivate --sync $number key ctrl+a ctrl+shift+c" >/dev/null 2>&1
        sleep 0.2
        found=$(as_tester "timeout 2 xclip -o -selection clipboard -t UTF8_STRING" 2>/dev/null | sort)
        if [ "$(echo "$found" | wc -l)" -gt 10 ]; then
            [ -z "$(comm -23 <(echo "$found") <(echo "$expected"))" ] && echo yes
            return
        fi
    done
    echo "no: $found"
}
picture() { as_tester "import -window root /tmp/$1.png" && cp "/tmp/$1.png" /trial/pictures/; }
processes() { # how many run, once those that hand over have ended
    for _ in $(seq 50); do
        [ "$(pgrep -u tester -xc ckptviewer)" -le 1 ] && break
        sleep 0.1
    done
    pgrep -u tester -xc ckptviewer
}
milliseconds() { # milliseconds COMMAND
    began=$(date +%s%N)
    as_tester "$1"
    echo $((($(date +%s%N) - began) / 1000000))
}

expected=$(as_tester "ckptviewer list model.index --json" | grep -o '"key": "[^"]*"' | cut -d'"' -f4 | sort)
as_tester "xdg-open model.index" >/trial/open.log 2>&1 &
check "xdg-open model.index opens the window with the tree" yes "$(tree 'model - ckptviewer')"
picture opened
check "one process" 1 "$(processes)"
as_tester "xdotool key ctrl+f type --delay 20 hidden/kernel"
as_tester "xdotool sleep 1 key Return Down Down"
mapped() { grep -c "/$1" "/proc/$(pgrep -u tester -xo ckptviewer)/maps"; }
for _ in $(seq 50); do
    [ "$(mapped QtOpenGLWidgets)" != 0 ] && break
    sleep 0.1
done
sleep 1
picture plot
check "selecting a variable loads the plots" yes "$([ "$(mapped QtOpenGLWidgets)" != 0 ] && echo yes)"
check "nothing went wrong" "" "$(as_tester 'xdotool search --name "unexpected error"'; cat /trial/open.log)"

took=$(milliseconds "xdg-open other.index >/dev/null 2>&1")
check "a second xdg-open opens a window" yes "$([ -n "$(window 'other - ckptviewer')" ] && echo yes)"
check "in the process that runs" 1 "$(processes)"
echo "      xdg-open took $took ms"
for _ in 1 2 3; do
    took=$(milliseconds "ckptviewer model.index")
    check "handing a path over takes less than 1 s ($took ms)" yes "$([ "$took" -lt 1000 ] && echo yes)"
    sleep 1
done
check "still one process" 1 "$(processes)"

pkill -KILL -u tester -x ckptviewer
sleep 0.5
check "the window was killed" 0 "$(processes)"
# The way of a file manager: the desktop entry's command line, made by GLib.
as_tester "gio launch /usr/share/applications/ckptviewer.desktop model.data-00000-of-00001" >/dev/null 2>&1 &
check "a file manager's way opens it, after a crash" yes "$(tree 'model - ckptviewer')"
as_tester "gio launch /usr/share/applications/ckptviewer.desktop other.index model.index" >/dev/null 2>&1
check "two files that were selected open as a comparison" yes \
    "$([ -n "$(window '.*other.* ⇄ .*model.* - ckptviewer')" ] && echo yes)"
picture two
check "in the process that runs" 1 "$(processes)"
as_tester "xdotool search --onlyvisible --name ckptviewer" | while read -r number; do
    echo "      a window: $(as_tester "xdotool getwindowname $number")"
done
pkill -TERM -u tester -x ckptviewer

for _ in 1 2 3; do
    took=$(milliseconds "QT_QPA_PLATFORM=offscreen ckptviewer open model.index --screenshot /tmp/shot.png")
    echo "      start to picture and end: $took ms"
done
check "a picture was drawn" yes "$([ -s /tmp/shot.png ] && echo yes)"

apt-get purge -y ckptviewer >/trial/apt.log 2>&1
check "apt removes the package" 0 $?
files >/trial/after
check "nothing is left" "" "$(comm -13 /trial/before /trial/after)"
check "nothing is missing" "" "$(comm -23 /trial/before /trial/after)"
check "no desktop knows of it" "$before_mime" \
    "$(cat /usr/share/applications/mimeinfo.cache 2>/dev/null | grep -c ckptviewer)"
check "nor do types" "" "$(grep -l ckptviewer /usr/share/mime/globs2 /usr/share/mime/types)"
pkill -u tester -x openbox
kill "$server"
echo "$failures checks failed"
[ "$failures" = 0 ]
