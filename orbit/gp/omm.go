package gp

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// versionKeyword begins every OMM in KVN.
const versionKeyword = "CCSDS_OMM_VERS"

// keywords of an OMM that are read.
const (
	keyName         = "OBJECT_NAME"
	keyDesignator   = "OBJECT_ID"
	keyNumber       = "NORAD_CAT_ID"
	keyCenter       = "CENTER_NAME"
	keyFrame        = "REF_FRAME"
	keyTimeSystem   = "TIME_SYSTEM"
	keyTheory       = "MEAN_ELEMENT_THEORY"
	keyType         = "EPHEMERIS_TYPE"
	keyEpoch        = "EPOCH"
	keyMotion       = "MEAN_MOTION"
	keyEccentricity = "ECCENTRICITY"
	keyInclination  = "INCLINATION"
	keyRAAN         = "RA_OF_ASC_NODE"
	keyPerigee      = "ARG_OF_PERICENTER"
	keyAnomaly      = "MEAN_ANOMALY"
	keyBStar        = "BSTAR"
	keyDot          = "MEAN_MOTION_DOT"
	keyDDot         = "MEAN_MOTION_DDOT"
)

var keywords = map[string]bool{
	keyName: true, keyDesignator: true, keyNumber: true, keyCenter: true, keyFrame: true,
	keyTimeSystem: true, keyTheory: true, keyType: true, keyEpoch: true, keyMotion: true,
	keyEccentricity: true, keyInclination: true, keyRAAN: true, keyPerigee: true,
	keyAnomaly: true, keyBStar: true, keyDot: true, keyDDot: true,
}

// message is one OMM in any encoding: the fields of it that are read.
type message struct {
	line   int // where it begins
	fields map[string]field
}

type field struct {
	line int
	text string
}

func newMessage(line int) *message { return &message{line: line, fields: map[string]field{}} }

// set keeps a field if its keyword is one that is read.
func (m *message) set(keyword, text string, line int) error {
	if !keywords[keyword] {
		return nil
	}
	if old, ok := m.fields[keyword]; ok {
		return &FieldError{line, keyword, text, fmt.Sprintf("each field once in a message; it stands in line %d already", old.line)}
	}
	m.fields[keyword] = field{line, strings.TrimSpace(text)}
	return nil
}

func (m *message) has(keyword string) bool { _, ok := m.fields[keyword]; return ok }

// elements turns the message into an element set.
func (m *message) elements() (Elements, error) {
	f := fieldReader{message: m}
	f.oneOf(keyCenter, "EARTH")
	f.oneOf(keyFrame, "TEME", "TEMEOFDATE")
	f.oneOf(keyTimeSystem, "UTC")
	f.oneOf(keyTheory, "SGP4", "SGP/SGP4", "SGP", "SDP4")
	if kind := m.fields[keyType]; kind.text == typeXP {
		f.fail(keyType, wantSGP4)
	}
	e := Elements{
		Name:              m.fields[keyName].text,
		Designator:        m.fields[keyDesignator].text,
		Number:            f.catalogue(),
		Epoch:             f.epoch(),
		MeanMotion:        f.number(keyMotion, boundsMotion, true),
		Eccentricity:      f.number(keyEccentricity, boundsEccentricity, true),
		Inclination:       f.number(keyInclination, boundsInclination, true),
		RAAN:              f.number(keyRAAN, boundsAngle, true),
		ArgumentOfPerigee: f.number(keyPerigee, boundsAngle, true),
		MeanAnomaly:       f.number(keyAnomaly, boundsAngle, true),
		BStar:             f.number(keyBStar, boundsBStar, true),
		MeanMotionDot:     f.number(keyDot, boundsDot, false),
		MeanMotionDDot:    f.number(keyDDot, boundsDot, false),
	}
	if f.err != nil {
		return Elements{}, f.err
	}
	return e, nil
}

// fieldReader collects the first error.
type fieldReader struct {
	*message
	err error
}

func (f *fieldReader) fail(keyword, want string) {
	if f.err != nil {
		return
	}
	v := f.fields[keyword]
	if v.line == 0 {
		v.line = f.line
	}
	f.err = &FieldError{v.line, keyword, v.text, want}
}

// oneOf accepts an absent field, or one of the values regardless of case and
// blanks.
func (f *fieldReader) oneOf(keyword string, values ...string) {
	v, ok := f.fields[keyword]
	if !ok || v.text == "" {
		return
	}
	text := strings.ReplaceAll(v.text, " ", "")
	for _, want := range values {
		if strings.EqualFold(text, want) {
			return
		}
	}
	f.fail(keyword, values[0])
}

func (f *fieldReader) number(keyword string, b bounds, required bool) float64 {
	text := f.fields[keyword].text
	if text == "" && !required {
		return 0
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || !b.hold(v) || strings.ContainsAny(text, "xX_") {
		f.fail(keyword, b.String())
	}
	return v
}

func (f *fieldReader) catalogue() int {
	text := f.fields[keyNumber].text
	n, err := strconv.Atoi(text)
	if err != nil || len(text) > 9 || !digits(text) {
		f.fail(keyNumber, "a catalogue number of up to nine digits")
	}
	return n
}

func (f *fieldReader) epoch() time.Time {
	text := strings.TrimSuffix(f.fields[keyEpoch].text, "Z")
	// Date by month and day, or by the day of the year (CCSDS 301.0-B-4, 3.5.1).
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-002T15:04:05", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1957 && t.Year() < 2200 {
			return t
		}
	}
	f.fail(keyEpoch, "a UTC date and time such as 2026-03-01T12:00:00.123456, from 1957 on")
	return time.Time{}
}
