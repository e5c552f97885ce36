# Sourced by parts that need a kernel of their own: a virtual machine whose root is this machine's, read-only under an
# overlay in memory, with systemd as its first process. Same paths, same programs, same libraries; what it writes
# vanishes, but for the folder that it sees as /out. It is emulated (no KVM asked for): slow, and never to be measured.
#
#   prepare_machine           once: Debian's kernel, and gpio-sim, which Debian leaves out; false says why in $why
#   run_machine FOLDER SECONDS  runs FOLDER/command by bash inside; its output and status are the caller's

machine=$root/.build/machine

machine_packages=(qemu-system-x86 busybox-static cpio kmod build-essential linux-headers-amd64)

prepare_machine() {
  [ -f "$machine/ready" ] && return 0
  [ "$(uname -m)" = x86_64 ] || { why="only an x86-64 machine is known"; return 1; }
  rm -rf "$machine"
  mkdir -p "$machine"
  ( set -e
    cd "$machine"
    need_packages "${machine_packages[@]}"
    package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[^ ]*\).*/\1/p' | head -1)
    version=${package#linux-image-}
    series=$(echo "$version" | cut -d. -f1,2)
    apt-get download "$package" "linux-source-$series"
    dpkg-deb -x "$package"_*.deb kernel

    # gpio-sim and the simulated interrupts that it stands on.
    mkdir modules
    dpkg-deb --fsys-tarfile "linux-source-${series}"_*.deb | tar xO "./usr/src/linux-source-$series.tar.xz" \
      | tar xJ -C modules --strip-components=1 "linux-source-$series/drivers/gpio/gpio-sim.c" \
        "linux-source-$series/drivers/gpio/gpiolib.h" "linux-source-$series/kernel/irq/irq_sim.c"
    cd modules
    cp drivers/gpio/* kernel/irq/irq_sim.c .
    sed -i '1a #include <linux/module.h>' irq_sim.c
    echo 'MODULE_LICENSE("GPL");' >>irq_sim.c
    # The inner half of this call is not exported to modules.
    sed -i 's/handle_simple_irq(irq_to_desc(irqnum));/generic_handle_irq(irqnum);/' irq_sim.c
    echo 'obj-m := irq_sim.o gpio-sim.o' >Makefile
    make -s -C "/usr/src/linux-headers-$version" M="$PWD" modules
    cd ..
    mkdir "kernel/lib/modules/$version/updates"
    cp modules/*.ko "kernel/lib/modules/$version/updates/"
    depmod -b kernel "$version"

    # The bare kernel inside the compressed one: an emulator unpacks slowly.
    python3 - "kernel/boot/vmlinuz-$version" vmlinux <<'P'
import lzma, sys
data = open(sys.argv[1], "rb").read()
open(sys.argv[2], "wb").write(lzma.LZMADecompressor().decompress(data[data.find(b"\xfd7zXZ\x00"):]))
P
    mkdir -p first/bin first/modules first/proc first/sys first/dev first/lower first/upper first/root
    cp /bin/busybox first/bin/
    number=100
    for name in virtio_pci 9pnet_virtio 9p overlay virtio_console; do
      modprobe -d kernel -S "$version" --show-depends $name
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
      number=$((number + 1))
      cp "$file" "first/modules/$number-$(basename "$file")"
    done
    cat >first/init <<I
#!/bin/busybox sh
b=/bin/busybox
\$b mount -t proc proc /proc; \$b mount -t sysfs sys /sys; \$b mount -t devtmpfs dev /dev
for module in /modules/*; do \$b insmod \$module; done
how=trans=virtio,version=9p2000.L,msize=1048576
\$b mount -t 9p -o ro,cache=loose,\$how root /lower
\$b mount -t tmpfs -o size=75% upper /upper; \$b mkdir /upper/files /upper/work
\$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work root /root
r=/root
\$b mkdir -p \$r/lib/modules/$version \$r/out
\$b mount -o bind,ro /lower$machine/kernel/lib/modules/$version \$r/lib/modules/$version
\$b mount -t 9p -o rw,cache=none,\$how out \$r/out
\$b cp -a \$r/out/units/. \$r/etc/systemd/system/
# Marks of a container, and whatever a first start would spend minutes on.
\$b rm -f \$r/etc/fstab \$r/.dockerenv \$r/run/.containerenv
echo 0123456789abcdef0123456789abcdef >\$r/etc/machine-id
\$b ln -sf /dev/null \$r/etc/tmpfiles.d/tmp.conf
for unit in systemd-udev-settle systemd-timesyncd systemd-firstboot e2scrub_reap systemd-hwdb-update \
  systemd-journal-catalog-update systemd-update-done; do
  \$b ln -sf /dev/null \$r/etc/systemd/system/\$unit.service
done
\$b umount /proc /sys
\$b mount -o move /dev \$r/dev
exec \$b switch_root \$r /lib/systemd/systemd
I
    chmod +x first/init
    (cd first && find . | cpio -o -H newc --quiet | gzip -1 >../first.gz)
    touch ready
  ) >"$machine/log" 2>&1 || { why="it could not be made, see $machine/log"; return 1; }
}

run_machine() {
  local folder=$1 seconds=$2
  mkdir -p "$folder/units"
  cat >"$folder/units/command.target" <<'I'
[Unit]
Requires=basic.target dbus.socket command.service
Wants=systemd-logind.service systemd-tmpfiles-setup.service
After=basic.target
AllowIsolate=yes
I
  cat >"$folder/units/command.service" <<'I'
[Unit]
After=basic.target dbus.socket
[Service]
Type=oneshot
Environment=HOME=/root TERM=dumb LANG=C.UTF-8
TimeoutStartSec=infinity
StandardOutput=file:/dev/hvc0
StandardError=file:/dev/hvc0
ExecStart=/bin/bash -c 'bash /out/command </dev/null; echo $? >/out/status; journalctl -b --no-pager >/out/journal; sync; echo o >/proc/sysrq-trigger'
I
  rm -f "$folder/status"
  timeout "$seconds" qemu-system-x86_64 -M q35 -accel tcg,thread=multi -cpu max -smp 2 -m 1536 -nodefaults -no-user-config \
    -display none -no-reboot -kernel "$machine/vmlinux" -initrd "$machine/first.gz" \
    -append "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check mitigations=off systemd.unit=command.target systemd.show_status=0 systemd.firstboot=0" \
    -serial "file:$folder/console" -device virtio-serial-pci -chardev stdio,id=c,signal=off -device virtconsole,chardev=c \
    -virtfs local,path=/,mount_tag=root,security_model=passthrough,readonly=on,multidevs=remap \
    -virtfs "local,path=$folder,mount_tag=out,security_model=none" </dev/null | tr -d '\r'
  [ -f "$folder/status" ] || { tail -5 "$folder/console"; return 125; }
  return "$(cat "$folder/status")"
}
