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
	"slices"
	"syscall"
	"time"

	"orrery.dev/orrery/provision/manifest"
)

// tries of a request in a row without a byte of progress.
const tries = 30

// pause before a request is tried again; tests have none.
var pause = 2 * time.Second

// fetch copies a file of an image from a URL to a file and checks its hash. A connection that breaks is
// taken up where it was, so that a server may be started again meanwhile. Long runs of zeros are not sent.
func fetch(ctx context.Context, client *http.Client, url string, want manifest.File, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	to := io.MultiWriter(f, h)
	data := want.Data
	if data == nil {
		data = []manifest.Extent{{Length: want.Size}}
	}
	at := int64(0)
	for _, d := range append(slices.Clone(data), manifest.Extent{Offset: want.Size}) {
		n, err := io.CopyN(to, zeros{}, d.Offset-at)
		at += n
		if err == nil {
			n, err = copyPart(ctx, client, url, want, d, to)
			at += n
		}
		if errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("no room for %s: %d of %d bytes fit; give the machine more memory, or a larger disk: %w", want.Name, at, want.Size, err)
		}
		if err != nil {
			return fmt.Errorf("%s, after %d of %d bytes: %w", url, at, want.Size, err)
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want.SHA256 {
		return fmt.Errorf("%w: %s has the SHA-256 %s, the manifest says %s", manifest.ErrHash, want.Name, got, want.SHA256)
	}
	return f.Sync()
}

// zeros is an endless reader of them.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// copyPart copies one part of a file, as often as it takes, and says how much was written.
func copyPart(ctx context.Context, client *http.Client, url string, want manifest.File, d manifest.Extent, to io.Writer) (done int64, err error) {
	for failed := 0; done < d.Length; {
		n, err := part(ctx, client, url, d.Offset+done, d.Offset+d.Length, want.Size, to)
		done += n
		if n > 0 {
			failed = 0
		}
		if err == nil {
			continue
		}
		var status *statusError
		if failed++; errors.Is(err, syscall.ENOSPC) || errors.As(err, &status) || failed >= tries {
			return done, err
		}
		if err := sleep(ctx, pause); err != nil {
			return done, err
		}
	}
	return done, nil
}

// statusError is an answer that will not change by asking again.
type statusError struct{ status string }

func (e *statusError) Error() string { return "the server answers " + e.status }

// part fetches what lies between two offsets of a file of some size, and says how much was written.
func part(ctx context.Context, client *http.Client, url string, at, end, size int64, to io.Writer) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	wanted := http.StatusOK
	if at > 0 || end < size {
		wanted = http.StatusPartialContent
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", at, end-1))
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != wanted {
		return 0, &statusError{response.Status}
	}
	if n := response.ContentLength; n >= 0 && n != end-at {
		return 0, fmt.Errorf("%w: the server has %d bytes, the manifest says %d", manifest.ErrHash, at+n, size)
	}
	n, err := io.Copy(to, io.LimitReader(response.Body, end-at))
	if err == nil && n < end-at {
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
