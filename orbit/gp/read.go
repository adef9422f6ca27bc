package gp

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Format is an encoding of element sets.
type Format string

// The encodings that can be read.
const (
	Detect  Format = "" // find out by content
	TLE     Format = "tle"
	OMMJSON Format = "omm-json"
	OMMCSV  Format = "omm-csv"
	OMMXML  Format = "omm-xml"
	OMMKVN  Format = "omm-kvn"
)

// MaxSize is the largest input that Read accepts, in bytes. All objects that
// Space-Track publishes take about 60 MB in XML, the longest encoding.
const MaxSize = 128 << 20

// ErrNone is the error of input without any element set.
var ErrNone = errors.New("no element sets found; give a TLE or OMM file")

// Read reads all element sets of a file, in its order. Errors in the content
// are of type *FieldError.
func Read(r io.Reader, format Format) ([]Elements, error) {
	var b strings.Builder
	n, err := io.Copy(&b, io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if n > MaxSize {
		return nil, fmt.Errorf("the file is larger than %d MiB; split it", MaxSize>>20)
	}
	return parse(b.String(), format)
}

func parse(text string, format Format) ([]Elements, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	if format == Detect {
		format = detect(text)
	}
	var sets []Elements
	var err error
	switch format {
	case TLE:
		sets, err = readTLE(text)
	case OMMJSON:
		sets, err = readJSON(text)
	case OMMCSV:
		sets, err = readCSV(text)
	case OMMXML:
		sets, err = readXML(text)
	case OMMKVN:
		sets, err = readKVN(text)
	default:
		return nil, fmt.Errorf("format %q is unknown; use %s, %s, %s, %s or %s", format, TLE, OMMJSON, OMMCSV, OMMXML, OMMKVN)
	}
	if err != nil {
		return nil, err
	}
	if len(sets) == 0 {
		return nil, ErrNone
	}
	return sets, nil
}

// detect judges by the first line that is not blank.
func detect(text string) Format {
	text = strings.TrimLeft(text, " \t\r\n")
	line, _, _ := strings.Cut(text, "\n")
	switch {
	case strings.HasPrefix(line, "[") || strings.HasPrefix(line, "{"):
		return OMMJSON
	case strings.HasPrefix(line, "<"):
		return OMMXML
	case strings.HasPrefix(line, versionKeyword):
		return OMMKVN
	case strings.Contains(line, ",") && strings.Contains(line, "MEAN_MOTION"):
		return OMMCSV
	}
	return TLE
}

// lineReader goes through the lines of a text.
type lineReader struct {
	text   string
	line   string // without its end
	number int    // from 1
	done   bool
}

func (l *lineReader) next() bool {
	if l.text == "" {
		l.line, l.done = "", true
		return false
	}
	l.line, l.text, _ = strings.Cut(l.text, "\n")
	l.line = strings.TrimSuffix(l.line, "\r")
	l.number++
	return true
}

// peek is what follows the present line.
func (l *lineReader) peek() string { return l.text }
