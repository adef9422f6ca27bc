package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write the generated part of docs/cli.md anew")

const referencePage, referenceMark = "../../docs/cli.md", "<!-- What follows is generated: go test ./cmd/orrery -run TestReference -update -->\n"

// The reference of verbs and flags in docs/cli.md is that of the program.
func TestReference(t *testing.T) {
	page, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	own, _, ok := strings.Cut(string(page), referenceMark)
	if !ok {
		t.Fatalf("%s lacks the line that begins the generated part: %s", referencePage, referenceMark)
	}
	want := own + referenceMark + reference(rootCommand())
	if *update {
		if err := os.WriteFile(referencePage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(page) != want {
		t.Errorf("%s is out of date; write it anew with: go test ./cmd/orrery -run TestReference -update", referencePage)
	}
}

// The part written by hand names every exit code and every variable.
func TestReferenceIsComplete(t *testing.T) {
	page, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	for code := exitOK; code <= exitNoAnswer; code++ {
		if !bytes.Contains(page, fmt.Appendf(nil, "\n| %d |", code)) {
			t.Errorf("exit code %d is not told of", code)
		}
	}
	for _, name := range []string{"ORRERY_RUNTIME_DIR", "ORRERY_STATE_DIR", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "SHELL", "TERM"} {
		if !bytes.Contains(page, []byte("`"+name+"`")) {
			t.Errorf("variable %s is not told of", name)
		}
	}
	for _, c := range verbs(rootCommand()) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: its short description is %q", c.CommandPath(), c.Short)
		}
	}
}

// verbs in the order of the help text.
func verbs(root *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, g := range append(root.Groups(), &cobra.Group{}) {
		for _, c := range root.Commands() {
			if c.GroupID == g.ID && !c.Hidden && c.Name() != "help" && c.Name() != "completion" {
				out = append(out, c)
				for _, sub := range c.Commands() {
					if !sub.Hidden && sub.Name() != "help" {
						out = append(out, sub)
					}
				}
			}
		}
	}
	return out
}

// reference is a page on every verb.
func reference(root *cobra.Command) string {
	var b strings.Builder
	for _, c := range verbs(root) {
		fmt.Fprintf(&b, "\n### orrery %s\n\n", c.Use)
		text := c.Long
		if text == "" {
			text = c.Short + "."
		}
		fmt.Fprintf(&b, "%s\n", strings.TrimSpace(text))
		if c.Example != "" {
			fmt.Fprintf(&b, "\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimRight(c.Example[2:], "\n"), "\n  ", "\n"))
		}
		var rows []string
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Hidden || f.Name == "help" {
				return
			}
			name := "`--" + f.Name + "`"
			if f.Shorthand != "" {
				name = "`-" + f.Shorthand + "`, " + name
			}
			kind, usage := pflag.UnquoteUsage(f)
			if kind == "" {
				kind = "yes or no"
			}
			value := f.DefValue
			if f.Value.Type() == "bool" || value == "" || value == "0s" && !strings.Contains(usage, "interval") || value == "0" {
				value = ""
			} else {
				value = "`" + value + "`"
			}
			rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s |", name, kind, value, usage))
		})
		if len(rows) > 0 {
			fmt.Fprintf(&b, "\n| flag | value | default | |\n| --- | --- | --- | --- |\n%s\n", strings.Join(rows, "\n"))
		}
	}
	return b.String()
}
