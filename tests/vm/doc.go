// Command vm runs programs in a virtual machine: Debian with systemd as process
// 1, Debian's own kernel, cgroup v2 alone (or v1, with --cgroup v1), AppArmor.
// Everything is emulated in software, so that it works wherever qemu does; a
// program takes ten to twenty times as long as outside.
//
//	go run ./tests/vm                       the ring of docs/testing.md, as `go test -json` prints it
//	go run ./tests/vm --run BINARY [--file SRC:DST]... [--append WORDS] [-- ARG...]
//	go run ./tests/vm --build               only make the image
//
// --run starts BINARY (a static or Debian program) as root in the guest, passes
// its output through and exits with its code. --file copies a file, or a folder
// with all below it, to an absolute path of the guest. The guest's files are made
// anew for each start: nothing that a program does in it lasts.
//
// The image is made once and kept below build/vm, or in the folder that
// TARE_VM_CACHE names; it is made again when the recipe in this folder changes.
// At most two machines run at the same time for one such folder.
package main
