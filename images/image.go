package images

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Image is what an image is made of.
type Image struct {
	// Name has no registry's host unless it is that of the project, as
	// "orrery.dev/orrery:0.1".
	Name string
	// Layers are files, the lowest layer first.
	Layers [][]File
	// Entrypoint and Command are what a container runs.
	Entrypoint, Command []string
	// Env has entries as "PATH=/bin".
	Env    []string
	Labels map[string]string
}

// Epoch is the time that all files and images have: SOURCE_DATE_EPOCH, in
// seconds since 1970, or 1970-01-01 if that is not set.
func Epoch() (time.Time, error) {
	text, ok := os.LookupEnv("SOURCE_DATE_EPOCH")
	if !ok || text == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is %q: set it to a number of seconds since 1970, or unset it", text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// Build makes the image for this machine's architecture.
func (i Image) Build(epoch time.Time) (v1.Image, error) {
	image := empty.Image
	for _, files := range i.Layers {
		layer, err := build(files, epoch)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", i.Name, err)
		}
		image, err = mutate.Append(image, mutate.Addendum{
			Layer:   layer,
			History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "make images"},
		})
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", i.Name, err)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", i.Name, err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", runtime.GOARCH, v1.Time{Time: epoch}
	config.Config = v1.Config{Entrypoint: i.Entrypoint, Cmd: i.Command, Env: i.Env, Labels: i.Labels}
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", i.Name, err)
	}
	return image, nil
}

// build makes a layer. It is kept in memory: the largest is some tens of
// megabytes.
func build(files []File, epoch time.Time) (v1.Layer, error) {
	files, err := withParents(files)
	if err != nil {
		return nil, err
	}
	var content bytes.Buffer
	if err := writeTar(&content, files, epoch); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content.Bytes())), nil
	}
	// It is asked for several times, and compressing is most of the work.
	return tarball.LayerFromOpener(open, tarball.WithCompressedCaching)
}

// Write writes an image to an archive, under a name. The file appears when it is
// whole.
func Write(archive, imageName string, image v1.Image) error {
	tag, err := name.NewTag(imageName)
	if err != nil {
		return fmt.Errorf("name of an image: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(archive), filepath.Base(archive)+".")
	if err != nil {
		return err
	}
	defer os.Remove(next.Name())
	if err := tarball.Write(tag, image, next); err != nil {
		_ = next.Close()
		return fmt.Errorf("image %s: %w", imageName, err)
	}
	if err := next.Chmod(0o644); err != nil {
		_ = next.Close()
		return err
	}
	if err := next.Close(); err != nil {
		return err
	}
	return os.Rename(next.Name(), archive)
}

// Names are those of the images in an archive, for each in the archive's order.
func Names(archive string) ([][]string, error) {
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(archive) })
	if err != nil {
		return nil, fmt.Errorf("read the images in %s: %w", archive, err)
	}
	names := make([][]string, len(manifest))
	for i, image := range manifest {
		names[i] = image.RepoTags
	}
	return names, nil
}
