package cluster

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"orrery.dev/orrery/images"
)

// Images that every worker has.
const (
	// PauseImage holds a pod's namespaces: it sleeps.
	PauseImage = "orrery.dev/test/pause:1"
	// BusyboxImage has busybox. Unless a pod says otherwise it sleeps, and ends
	// at once when it is asked to.
	BusyboxImage = "orrery.dev/test/busybox:1"
)

// writeBaseImages makes archives of the images that every worker has.
func writeBaseImages(dir string) ([]string, error) {
	files := []images.File{{Path: "/bin/busybox", Mode: 0o755, From: busybox()}}
	for _, applet := range []string{"sh", "cat", "echo", "env", "grep", "ip", "ls", "nc", "ping", "sleep", "wget"} {
		files = append(files, images.File{Path: "/bin/" + applet, Mode: fs.ModeSymlink, Link: "busybox"})
	}
	var archives []string
	for _, image := range []images.Image{
		{Name: PauseImage, Command: []string{"/bin/sleep", "2147483647"}},
		{Name: BusyboxImage, Command: []string{"/bin/sh", "-c", "trap exit TERM INT; sleep 2147483647 & wait"}},
	} {
		image.Env, image.Layers = []string{"PATH=/bin"}, [][]images.File{files}
		built, err := image.Build(time.Unix(0, 0))
		if err != nil {
			return nil, err
		}
		archive := filepath.Join(dir, fmt.Sprintf("%d.tar", len(archives)))
		if err := images.Write(archive, image.Name, built); err != nil {
			return nil, err
		}
		archives = append(archives, archive)
	}
	return archives, nil
}
