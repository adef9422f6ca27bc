package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
	"orrery.dev/orrery/emulation"
)

// What a record holds beside that of package record.
const (
	recordedSummary = "summary.json" // the last status
	recordedLogs    = "logs"         // NODE/PROCESS.log
)

func recordSummary(dir string, st *pb.Status) error {
	var b bytes.Buffer
	if err := printMessage(&b, st); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, recordedSummary), b.Bytes(), 0o644)
}

// recordLogs copies the logs of all processes before the run takes them with it.
func recordLogs(dir string, run *emulation.Run) error {
	var errs []error
	for _, p := range run.Nodes().Processes() {
		if p.Log != "" {
			errs = append(errs, copyFile(filepath.Join(dir, recordedLogs, p.Node, p.Name+".log"), p.Log))
		}
	}
	return errors.Join(errs...)
}

func copyFile(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
