package firstboot

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A table that is spread to the end of a larger disk satisfies another program, and the partitions are where they were.
func TestSpread(t *testing.T) {
	if _, err := exec.LookPath("sfdisk"); err != nil {
		t.Skip("there is no sfdisk, which makes and checks tables; scripts/deps.sh vm installs it")
	}
	path := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(16 << 20); err != nil {
		t.Fatal(err)
	}
	run := func(input string, args ...string) string {
		t.Helper()
		cmd := exec.Command("sfdisk", append(args, path)...)
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		return string(out)
	}
	run("label: gpt\nstart=2048, size=4096, name=one\nsize=8192, name=two\n", "--quiet", "--no-reread", "--no-tell-kernel")
	before := run("", "--dump")
	const larger = 64<<20 + 3*sector
	if err := f.Truncate(larger); err != nil {
		t.Fatal(err)
	}
	if out := run("", "--verify"); !strings.Contains(out, "backup") && !strings.Contains(out, "PMBR") {
		t.Fatalf("the check that follows sees nothing wrong beforehand: %s", out)
	}
	for range 2 { // a second time changes nothing
		if err := spread(f, larger); err != nil {
			t.Fatal(err)
		}
		if out := run("", "--verify"); strings.Contains(out, "backup") || strings.Contains(out, "PMBR") || strings.Contains(out, "corrupt") {
			t.Errorf("%s", out)
		}
	}
	partitions := func(dump string) (all []string) {
		for line := range strings.Lines(dump) {
			if strings.Contains(line, "start=") {
				all = append(all, line)
			}
		}
		return all
	}
	after := run("", "--dump")
	if len(partitions(before)) != 2 || strings.Join(partitions(before), "") != strings.Join(partitions(after), "") {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if !strings.Contains(after, "last-lba: 131041") { // of 131075 sectors, of which the last has the header, and 32 before it the entries
		t.Errorf("%s", after)
	}
	if spread(f, 8<<20) == nil {
		t.Error("a disk that is too small is taken")
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	if spread(f, 1<<20) == nil {
		t.Error("a disk without a table has one")
	}
}
