package firstboot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"orrery.dev/orrery/provision/manifest"
)

// tries of a request in a row without a byte of progress.
const tries = 30

// pause before a request is tried again; tests have none.
var pause = 2 * time.Second

// fetch copies a file of an image from a URL to a file and checks its hash. A connection that breaks is
// taken up where it was, so that a server may be started again meanwhile.
func fetch(ctx context.Context, client *http.Client, url string, want manifest.File, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	var at int64
	for failed := 0; at < want.Size; {
		n, err := part(ctx, client, url, at, want.Size, io.MultiWriter(f, h))
		at += n
		if errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("no room for %s: %d of %d bytes fit; give the machine more memory, or a larger disk: %w", want.Name, at, want.Size, err)
		}
		if n > 0 {
			failed = 0
		}
		if err == nil {
			continue
		}
		var status *statusError
		if failed++; errors.As(err, &status) || failed >= tries {
			return fmt.Errorf("%s, after %d of %d bytes: %w", url, at, want.Size, err)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want.SHA256 {
		return fmt.Errorf("%w: %s has the SHA-256 %s, the manifest says %s", manifest.ErrHash, want.Name, got, want.SHA256)
	}
	return f.Sync()
}

// statusError is an answer that will not change by asking again.
type statusError struct{ status string }

func (e *statusError) Error() string { return "the server answers " + e.status }

// part fetches what follows an offset, and says how much was written.
func part(ctx context.Context, client *http.Client, url string, at, size int64, to io.Writer) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	if at > 0 {
		request.Header.Set("Range", "bytes="+strconv.FormatInt(at, 10)+"-")
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	wanted := http.StatusOK
	if at > 0 {
		wanted = http.StatusPartialContent
	}
	if response.StatusCode != wanted {
		return 0, &statusError{response.Status}
	}
	if response.ContentLength >= 0 && response.ContentLength != size-at {
		return 0, fmt.Errorf("%w: the server has %d bytes, the manifest says %d", manifest.ErrHash, at+response.ContentLength, size)
	}
	n, err := io.Copy(to, io.LimitReader(response.Body, size-at))
	if err == nil && n < size-at {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// sleep waits, but not longer than the context.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
