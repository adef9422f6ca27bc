package failures

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	pb "orrery.dev/orrery/api/orrery/v1alpha1"
)

var failure = rapid.Custom(func(t *rapid.T) *pb.Failure {
	return &pb.Failure{
		Id: rapid.String().Draw(t, "id"), Kind: pb.Failure_Kind(rapid.Int32Range(1, 4).Draw(t, "kind")), A: rapid.String().Draw(t, "a"),
		Loss: rapid.Float64Range(0, 1).Draw(t, "loss"), Delay: durationpb.New(time.Duration(rapid.Int64Range(0, 1e10).Draw(t, "delay"))),
	}
})

// What was written is read again, in the order of ids, and has one form.
func TestBackAndForth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(failure, 0, 10).Draw(t, "failures")
		text, err := Encode(list)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortStableFunc(list, func(a, b *pb.Failure) int { return strings.Compare(a.GetId(), b.GetId()) })
		if !slices.EqualFunc(got, list, func(a, b *pb.Failure) bool { return proto.Equal(a, b) }) {
			t.Fatalf("%v became %v", list, got)
		}
		if again, err := Encode(got); err != nil || again != text || (text == "") != (len(list) == 0) {
			t.Fatalf("%q became %q, %v", text, again, err)
		}
	})
}

func TestWhatPeopleWrite(t *testing.T) {
	list, err := Decode(`{"failures": [{"kind": "KIND_CUT", "a": "tempe:ant0"}, {"kind": "KIND_IMPAIR", "a": "x:y", "delay": "0.020s", "loss": 0.1}, {"kind": "KIND_KILL_NODE", "a": "z"}]}`)
	if err != nil || len(list) != 3 || list[1].GetDelay().AsDuration() != 20*time.Millisecond {
		t.Fatalf("%v, %v", list, err)
	}
	if down := Down(list); len(down) != 1 || !down["z"] {
		t.Errorf("down are %v", down)
	}
	for text, want := range map[string]string{
		"cut tempe": "cannot be read", `{"failures": [{"kind": "KIND_MELT"}]}`: "KIND_MELT", `{"failure": []}`: "unknown field", strings.Repeat(" ", maxText) + "{}": "bytes",
	} {
		if _, err := Decode(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), Annotation) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func TestTooMany(t *testing.T) {
	var list []*pb.Failure
	for i := range 5000 {
		list = append(list, &pb.Failure{Id: fmt.Sprint("cut/", i), Kind: pb.Failure_KIND_CUT, A: fmt.Sprint(i)})
	}
	if _, err := Encode(list); err == nil || !strings.Contains(err.Error(), "5000 failures") {
		t.Errorf("%v", err)
	}
}

func TestPatch(t *testing.T) {
	for list, want := range map[string]any{"": nil, `{"a":"\"b"}`: `{"a":"\"b"}`} {
		patch, err := Patch(list, "17")
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Metadata struct {
				ResourceVersion string
				Annotations     map[string]any
			}
		}
		if err := json.Unmarshal([]byte(patch), &got); err != nil {
			t.Fatal(err)
		}
		value, there := got.Metadata.Annotations[Annotation]
		if got.Metadata.ResourceVersion != "17" || !there || value != want {
			t.Errorf("%q: %s", list, patch)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"failures": [{"kind": "KIND_CUT", "a": "tempe:ant0"}]}`)
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := Decode(text)
		if err != nil {
			return
		}
		again, err := Encode(list)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(again); err != nil {
			t.Fatalf("%q became %q: %v", text, again, err)
		}
	})
}
