package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// disks are sparse files below one folder, each mounted beside itself: <name>.img and <name>/.
type disks struct{ folder string }

func (d disks) image(name string) string { return filepath.Join(d.folder, name+".img") }
func (d disks) mount(name string) string { return filepath.Join(d.folder, name) }

// create may be called again for a volume whose first try was cut off at any step.
func (d disks) create(name string, bytes int64) (string, error) {
	image, mount := d.image(name), d.mount(name)
	if d.mounted(mount) {
		return mount, nil
	}
	if err := os.MkdirAll(mount, 0o755); err != nil {
		return "", err
	}
	if err := resize(image, bytes, os.O_CREATE|os.O_TRUNC); err != nil {
		return "", err
	}
	if err := run("mkfs.xfs", "-q", "-f", image); err != nil {
		return "", err
	}
	// `-o loop` frees the device with the last unmount, so no device outlives a crash of this program.
	return mount, run("mount", "-o", "loop", image, mount)
}

// grow lets the mounted file system fill its larger file. It never shrinks one.
func (d disks) grow(name string, bytes int64) error {
	image := d.image(name)
	now, err := os.Stat(image)
	if err != nil {
		return err
	}
	if now.Size() < bytes {
		if err := resize(image, bytes, 0); err != nil {
			return err
		}
	}
	devices, err := exec.Command("losetup", "--noheadings", "--output", "NAME", "--associated", image).Output()
	if err != nil {
		return fmt.Errorf("losetup: %w", err)
	}
	device := strings.TrimSpace(string(devices))
	if device == "" || strings.ContainsAny(device, " \n") {
		return fmt.Errorf("%s should be on one loop device, is on %q", image, device)
	}
	if err := run("losetup", "--set-capacity", device); err != nil {
		return err
	}
	return run("xfs_growfs", d.mount(name))
}

func (d disks) remove(name string) error {
	image, mount := d.image(name), d.mount(name)
	if d.mounted(mount) {
		if err := run("umount", mount); err != nil {
			return err
		}
	}
	for _, path := range []string{mount, image} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (d disks) mounted(path string) bool {
	return exec.Command("findmnt", "--mountpoint", path).Run() == nil
}

func resize(image string, bytes int64, flags int) error {
	file, err := os.OpenFile(image, os.O_WRONLY|flags, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Truncate(bytes), file.Close())
}

func run(name string, arguments ...string) error {
	if output, err := exec.Command(name, arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(arguments, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
