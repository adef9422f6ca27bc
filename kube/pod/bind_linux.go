package pod

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// bindOver puts a node's directory in the place of others, for software that has them
// compiled in (node.Process.BindOver). A pod is one node, so all of its processes see it.
// Doing it twice does nothing twice.
func bindOver(dir string, places []string) error {
	own, err := os.Stat(dir)
	if err != nil {
		return err
	}
	for i, place := range places {
		if i == 0 {
			// What is mounted here is nobody else's. In a container it is so anyway.
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
				return refused(place, err)
			}
		}
		if err := os.MkdirAll(place, 0o755); err != nil {
			return fmt.Errorf("the image lacks the directory %s, and it cannot be made; make it in the image: %w", place, err)
		}
		if there, err := os.Stat(place); err == nil && os.SameFile(own, there) {
			continue
		}
		if err := unix.Mount(dir, place, "", unix.MS_BIND, ""); err != nil {
			return refused(place, err)
		}
	}
	return nil
}

func refused(place string, err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("FRR 9 and later has %s compiled in, and the pod may not mount its own directory there; let its AppArmor profile be Unconfined, or take an image with FRR 8: %w", place, err)
	}
	return fmt.Errorf("mount the node's directory at %s: %w", place, err)
}
