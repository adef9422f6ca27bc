package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"orrery.dev/orrery/report"
)

type reportOptions struct {
	file       string
	tables     string
	open       bool
	unfaithful bool
}

func reportCommand() *cobra.Command {
	var o reportOptions
	c := &cobra.Command{
		Use:   "report DIR",
		Short: "Write a report on an experiment or on recorded runs",
		Long: `Write one HTML page, which needs no network, and CSV tables on the runs in a
directory: that of an experiment, or one that 'orrery up --record' wrote.
Runs that are not complete or were not faithful are listed and left out.`,
		Example: "  orrery report iridium-protocols --open",
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return writeReport(args[0], &o) },
	}
	f := c.Flags()
	f.StringVar(&o.file, "html", "", "file of the page; default report.html in the directory")
	f.StringVar(&o.tables, "csv", "", "directory of the tables; default report in the directory")
	f.BoolVar(&o.open, "open", false, "open the page")
	f.BoolVar(&o.unfaithful, "include-unfaithful", false, "compare runs that were not faithful, too, and mark them")
	return c
}

func writeReport(dir string, o *reportOptions) error {
	r, err := report.Collect(dir, o.unfaithful)
	if err != nil {
		return err
	}
	page, tables := o.file, o.tables
	if page == "" {
		page = filepath.Join(dir, "report.html")
	}
	if tables == "" {
		tables = filepath.Join(dir, "report")
	}
	f, err := os.Create(page)
	if err != nil {
		return err
	}
	if err := errors.Join(r.WriteHTML(f, time.Now()), f.Close()); err != nil {
		return err
	}
	if _, err := r.WriteCSV(tables); err != nil {
		return err
	}
	for _, s := range r.Summary() {
		fmt.Println("  " + s)
	}
	if len(r.Absent) > 0 {
		fmt.Printf("  %s left out or not whole; the page says why.\n", plural(len(r.Absent), "thing"))
	}
	fmt.Printf("%s and the tables in %s are written.\n", page, tables)
	if o.open {
		return openFile(page)
	}
	return nil
}

// openers are programs that open a file with what the user likes to read it with.
var openers = []string{"xdg-open", "open", "wslview"}

func openFile(path string) error {
	for _, name := range openers {
		if program, err := exec.LookPath(name); err == nil {
			return exec.Command(program, path).Run()
		}
	}
	return fmt.Errorf("there is no program to open %s with (xdg-open, of the package xdg-utils); open it in a browser", path)
}
