// Command images builds Orrery's container images as archives, which "ctr
// images import", "docker load" and "podman load" take.
//
//	go run ./scripts/images -version 0.1 -binary bin/orrery -out dist
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"

	"orrery.dev/orrery/images"
	"orrery.dev/orrery/images/release"
)

func main() {
	version := flag.String("version", "unknown", "the images' tag")
	binary := flag.String("binary", "bin/orrery", "the static program")
	out := flag.String("out", "dist", "the directory for the archives and, in packages/, for downloads")
	flag.Usage = func() {
		fmt.Fprintf(os.Stderr, "usage: images [flags] [orrery] [orrery-router]\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := build(ctx, *version, *binary, *out, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "images: %v\n", err)
		os.Exit(1)
	}
}

func build(ctx context.Context, version, binary, out string, names []string) error {
	epoch, err := images.Epoch()
	if err != nil {
		return err
	}
	known := []string{"orrery", "orrery-router"}
	if len(names) == 0 {
		names = known
	}
	for _, name := range names {
		var image images.Image
		switch name {
		case "orrery":
			image = release.Orrery(version, binary)
		case "orrery-router":
			if image, err = release.Router(ctx, version, binary, filepath.Join(out, "packages")); err != nil {
				return err
			}
		default:
			return fmt.Errorf("there is no image %q; there are %v", name, slices.Clip(known))
		}
		built, err := image.Build(epoch)
		if err != nil {
			return err
		}
		digest, err := built.ConfigName()
		if err != nil {
			return err
		}
		archive := filepath.Join(out, name+".tar")
		if err := images.Write(archive, image.Name, built); err != nil {
			return err
		}
		info, err := os.Stat(archive)
		if err != nil {
			return err
		}
		fmt.Printf("%-28s %6.1f MB  %s  %s\n", archive, float64(info.Size())/1e6, digest, image.Name)
	}
	return nil
}
