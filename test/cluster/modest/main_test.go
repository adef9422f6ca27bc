package main

import "testing"

func TestModest(t *testing.T) {
	for given, want := range map[string]string{
		`{"process": {"oomScoreAdj": -997, "cwd": "/"}, "x": 1}`:                   `{"process":{"cwd":"/"},"x":1}`,
		`{"process": {"oomScoreAdj": 1000}}`:                                       `{"process":{"oomScoreAdj":1000}}`,
		`{"linux": {"resources": {"hugepageLimits": [{"limit": 0}], "pids": {}}}}`: `{"linux":{"resources":{"pids":{}}}}`,
		`{"ociVersion": "1.2.0"}`:                                                  `{"ociVersion":"1.2.0"}`,
	} {
		if got, err := modest([]byte(given)); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", given, got, err, want)
		}
	}
	for _, bad := range []string{``, `[]`, `{"process": 1}`, `{"linux": {"resources": []}}`} {
		if got, err := modest([]byte(bad)); err == nil {
			t.Errorf("%s: got %s and no error", bad, got)
		}
	}
}

func TestCreated(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--root=/run/runc", "create", "--bundle", "/b", "--pid-file", "/p", "id"}, "/b"},
		{[]string{"create", "--bundle=/b", "id"}, "/b"},
		{[]string{"create", "id"}, "."},
		{[]string{"--root", "/run/runc", "delete", "--force", "id"}, ""},
		{nil, ""},
	} {
		if got := created(c.args); got != c.want {
			t.Errorf("%q: got %q, want %q", c.args, got, c.want)
		}
	}
}
