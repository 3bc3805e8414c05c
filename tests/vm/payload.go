package main

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// payload is the second disk: a tar archive that the guest unpacks over its root.
type payload struct {
	script string     // what runs, by sh, in /payload
	files  []hostFile // copied into the guest
}

type hostFile struct{ from, to string }

// parseFile reads SRC:DST.
func parseFile(s string) (hostFile, error) {
	from, to, ok := strings.Cut(s, ":")
	if !ok || from == "" || !path.IsAbs(to) {
		return hostFile{}, fmt.Errorf("--file %q: want SRC:DST, DST absolute", s)
	}
	return hostFile{from, to}, nil
}

// write makes the disk.
func (p *payload) write(to string) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	t := tar.NewWriter(f)
	if err := t.WriteHeader(&tar.Header{Name: "payload/run", Mode: 0o644, Size: int64(len(p.script))}); err != nil {
		return err
	}
	if _, err := io.WriteString(t, p.script); err != nil {
		return err
	}
	for _, h := range p.files {
		if err := addTree(t, h); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	const block = 1 << 20 // qemu wants whole sectors
	end, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if err := f.Truncate((end + block - 1) / block * block); err != nil {
		return err
	}
	return f.Close()
}

// addTree adds a file, or a folder with all below it. A symbolic link that is
// named itself is followed, those below are copied.
func addTree(t *tar.Writer, h hostFile) error {
	from, err := filepath.EvalSymlinks(h.from)
	if err != nil {
		return err
	}
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		link := ""
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			if link, err = os.Readlink(p); err != nil {
				return err
			}
		case !info.Mode().IsRegular() && !info.IsDir():
			return nil // sockets and the like stay where they are
		}
		hdr, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		hdr.Name = strings.TrimPrefix(path.Join(h.to, strings.TrimPrefix(p, from)), "/")
		hdr.Uid, hdr.Gid, hdr.Uname, hdr.Gname = 0, 0, "", ""
		if err := t.WriteHeader(hdr); err != nil || !info.Mode().IsRegular() {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(t, f)
		return err
	})
}
