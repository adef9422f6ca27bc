package userns_test

import (
	"bytes"
	"strings"
	"testing"

	"orrery.dev/orrery/userns"
)

func TestSquash(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		names            []string
		changed          bool
	}{
		{
			name: "passwd", names: []string{"frr"}, changed: true,
			text: "root:x:0:0:root:/root:/bin/bash\nfrr:x:103:107:Frr routing suite,,,:/nonexistent:/usr/sbin/nologin\nfrrx:x:104:108::/:/bin/false\n",
			want: "root:x:0:0:root:/root:/bin/bash\nfrr:x:0:0:Frr routing suite,,,:/nonexistent:/usr/sbin/nologin\nfrrx:x:104:108::/:/bin/false\n",
		},
		{
			name: "group", names: []string{"frr", "frrvty"}, changed: true,
			text: "users:x:100:\nfrrvty:x:106:frr\nfrr:x:107:", // without a last newline
			want: "users:x:100:\nfrrvty:x:0:frr\nfrr:x:0:",
		},
		{name: "nobody is named", text: "frr:x:103:107::/:/bin/false\n", want: "frr:x:103:107::/:/bin/false\n"},
		{name: "not there", names: []string{"frr"}, text: "bird:x:105:\n", want: "bird:x:105:\n"},
		{name: "already", names: []string{"frr"}, text: "frr:x:0:\n", want: "frr:x:0:\n"},
		{name: "comments and compat lines", names: []string{"frr", "+", "# frr"}, text: "# frr:x\n\n+\n+frr\n", want: "# frr:x\n\n+\n+frr\n"},
	} {
		got, changed := userns.Squash([]byte(c.text), c.names)
		if string(got) != c.want || changed != c.changed {
			t.Errorf("%s: got %q, %v, want %q, %v", c.name, got, changed, c.want, c.changed)
		}
	}
}

// Lines that are not named stay; a second time changes nothing.
func FuzzSquash(f *testing.F) {
	f.Add([]byte("frr:x:103:107::/:/bin/false\nusers:x:100:\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		once, _ := userns.Squash(text, []string{"frr"})
		twice, changed := userns.Squash(once, []string{"frr"})
		if changed || !bytes.Equal(once, twice) {
			t.Errorf("%q changes again to %q", once, twice)
		}
		if !bytes.Contains(text, []byte("frr:")) && !bytes.Equal(once, text) {
			t.Errorf("%q became %q", text, once)
		}
		if strings.Count(string(once), "\n") != strings.Count(string(text), "\n") {
			t.Errorf("%q has another number of lines than %q", once, text)
		}
	})
}
