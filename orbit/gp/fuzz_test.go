package gp

import (
	"math"
	"testing"
)

// FuzzTLE: whatever is read is within bounds, and reads alike when it is
// found by content.
func FuzzTLE(f *testing.F) {
	f.Add(nameLine + "\n" + line1 + "\n" + line2 + "\n")
	f.Add(line1 + "\r\n" + line2 + "  \r\n\r\n")
	f.Add("0 " + nameLine + "\n" + line1 + "\n" + line2)
	f.Add("1 NAME\n" + line1 + "\n\n" + line2 + "\nREST")
	f.Fuzz(func(t *testing.T, text string) {
		sets, err := parse(text, TLE)
		checkRead(t, text, sets, err)
	})
}

// FuzzOMM does the same for all encodings of OMM.
func FuzzOMM(f *testing.F) {
	e, err := ParseTLE(nameLine, line1, line2)
	if err != nil {
		f.Fatal(err)
	}
	formats := []Format{OMMJSON, OMMCSV, OMMXML, OMMKVN}
	for i, format := range formats {
		f.Add(uint8(i), writers[format]([]Elements{e}))
		f.Add(uint8(i), writers[format]([]Elements{e, e}))
	}
	f.Add(uint8(0), `{"EPOCH":"2026-060T12:00:00Z","X":[{"Y":[null,true]}]}`)
	f.Add(uint8(1), "\"A\"\"B\",MEAN_MOTION\n1,\"2\"\n")
	f.Add(uint8(2), "<?xml version='1.0'?><!DOCTYPE ndm><ndm><omm><A>&lt;<!-- c --></A></omm></ndm>")
	f.Fuzz(func(t *testing.T, format uint8, text string) {
		sets, err := parse(text, formats[int(format)%len(formats)])
		checkRead(t, text, sets, err)
	})
}

func checkRead(t *testing.T, text string, sets []Elements, err error) {
	if err != nil {
		if len(sets) != 0 {
			t.Fatalf("%d sets and the error %v", len(sets), err)
		}
		if len(err.Error()) > 700 {
			t.Fatalf("the error has %d bytes: %v", len(err.Error()), err)
		}
		return
	}
	if len(sets) == 0 || len(sets) > len(text)/100 {
		t.Fatalf("%d sets from %d bytes", len(sets), len(text))
	}
	for _, e := range sets {
		if e.Epoch.IsZero() || e.Number < 0 || e.MeanMotion <= 0 || e.Eccentricity >= 1 {
			t.Fatalf("%+v", e)
		}
		for _, v := range []float64{e.MeanMotion, e.Eccentricity, e.Inclination, e.RAAN, e.ArgumentOfPerigee, e.MeanAnomaly, e.BStar, e.MeanMotionDot, e.MeanMotionDDot} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("%+v", e)
			}
		}
	}
}
