package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	linesSuffix   = ".jsonl"
	parquetSuffix = ".parquet"
)

// eachLine passes on the rows of a file of JSON lines. Lines that are not whole, as a
// crash leaves them, are left out, and note says so.
func eachLine[T any](path string, f func(*T) error) (note string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, 1<<16)
	kept, cut, first := 0, 0, 0
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		if len(line) == 0 {
			break
		}
		var row T
		if !bytes.HasSuffix(line, []byte{'\n'}) || json.Unmarshal(line, &row) != nil {
			if cut++; cut == 1 {
				first = n
			}
			continue
		}
		kept++
		if err := f(&row); err != nil {
			return "", err
		}
	}
	if cut == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s is cut off in line %d, as by a crash: its %d whole lines are kept, and what is left out is %d", path, first, kept, cut), nil
}
