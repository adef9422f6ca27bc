package celestrak

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Join makes one file of several answers in the same format. An object that
// is in two of them is in the file twice.
func Join(format Format, answers ...[]byte) ([]byte, error) {
	if len(answers) == 1 {
		return answers[0], nil
	}
	switch format {
	case JSON, "":
		return joinJSON(answers)
	case CSV:
		return joinCSV(answers)
	case TLE, KVN:
		var out []byte
		for _, a := range answers {
			out = append(append(out, bytes.TrimRight(a, "\r\n")...), '\n')
		}
		return out, nil
	case XML:
		return nil, errors.New("several queries cannot go into one XML file; use one file each, or the format json")
	}
	_, err := format.gp()
	return nil, err
}

func joinJSON(answers [][]byte) ([]byte, error) {
	all := []json.RawMessage{}
	for i, a := range answers {
		var sets []json.RawMessage
		if err := json.Unmarshal(a, &sets); err != nil {
			return nil, fmt.Errorf("answer %d: %w", i+1, err)
		}
		all = append(all, sets...)
	}
	return json.Marshal(all)
}

func joinCSV(answers [][]byte) ([]byte, error) {
	var header, out []byte
	for i, a := range answers {
		head, rows, _ := bytes.Cut(a, []byte("\n"))
		head = bytes.TrimRight(head, "\r")
		if i == 0 {
			header = head
			out = append(append(out, head...), '\n')
		} else if !bytes.Equal(head, header) {
			return nil, fmt.Errorf("answer %d has other columns than the first; use one file each, or the format json", i+1)
		}
		out = append(append(out, bytes.TrimRight(rows, "\r\n")...), '\n')
	}
	return out, nil
}
