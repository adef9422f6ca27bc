package celestrak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"orrery.dev/orrery/orbit/gp"
)

const (
	// BaseURL is CelesTrak itself.
	BaseURL = "https://celestrak.org"
	// Fresh is how long an answer is used without asking again: CelesTrak
	// renews its data every two hours at most.
	Fresh = 2 * time.Hour
	// MaxSize is the largest answer that is accepted, in bytes after
	// decompression. The group active takes about 30 MB in XML.
	MaxSize = gp.MaxSize / 2
)

// Client asks CelesTrak. Only Cache need be set, and not even that.
type Client struct {
	BaseURL   string           // package BaseURL if empty
	Cache     string           // folder of cached answers, see CacheDir; nothing is cached if empty
	HTTP      *http.Client     // one with sensible time limits if nil
	Now       func() time.Time // time.Now if nil
	UserAgent string           // "orrery" if empty
	Force     bool             // asks even if the cached answer is fresh, and accepts no other in place of CelesTrak's
}

// Source tells where an answer came from.
type Source string

// The sources.
const (
	FromNetwork Source = "network"     // CelesTrak has sent it now
	FromCache   Source = "cache"       // it came less than Fresh ago, or CelesTrak could not be asked
	Unchanged   Source = "not changed" // CelesTrak has nothing newer than what is cached
)

// FetchInfo says how an answer came about.
type FetchInfo struct {
	Query   Query
	URL     string
	Source  Source
	Fetched time.Time // when the data came from CelesTrak
	Checked time.Time // when CelesTrak last said that this is its newest
	Sets    int       // element sets in the answer
	// Newest and Oldest epoch of the element sets.
	Oldest, Newest time.Time
	// Problem is why CelesTrak could not be asked although the cached answer
	// is no longer fresh; nil otherwise.
	Problem error
	// CacheProblem is why the answer could not be cached; nil otherwise.
	CacheProblem error
}

// Fetch answers a query. The bytes have been read as element sets by package
// gp. Errors about what CelesTrak said or did not say are of type *Error.
func (c *Client) Fetch(ctx context.Context, q Query) ([]byte, FetchInfo, error) {
	if err := q.check(); err != nil {
		return nil, FetchInfo{}, err
	}
	base := c.BaseURL
	if base == "" {
		base = BaseURL
	}
	address, err := q.url(base)
	if err != nil {
		return nil, FetchInfo{}, err
	}
	info := FetchInfo{Query: q, URL: address}
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}

	cache := cache{dir: c.Cache}
	cached := cache.load(address)
	if cached != nil && info.read(cached.body) != nil {
		cached = nil
	}
	if cached != nil && !c.Force && cached.fresh(now()) {
		info.Source, info.Fetched, info.Checked = FromCache, cached.Fetched, cached.Checked
		return cached.body, info, nil
	}

	got, err := c.ask(ctx, q, address, cached)
	var failure *Error
	switch {
	case err == nil && got != nil:
		if err := info.read(got.body); err != nil {
			return nil, info, &Error{Query: q, Reason: ReasonUnreadable, Text: fmt.Sprintf("what %s sent is not to be read as %s: %v", host(address), q.format(), err), Err: err}
		}
		got.Fetched = now().UTC()
		got.Checked = got.Fetched
		info.Source = FromNetwork
	case cached == nil:
		return nil, info, err
	case err == nil, errors.As(err, &failure) && failure.Reason == ReasonNotUpdated:
		got = cached
		got.Checked = now().UTC()
		info.Source = Unchanged
	case errors.As(err, &failure) && failure.Reason == ReasonUnreachable && !c.Force && ctx.Err() == nil:
		info.Source, info.Fetched, info.Checked, info.Problem = FromCache, cached.Fetched, cached.Checked, err
		return cached.body, info, nil
	default:
		return nil, info, err
	}
	info.Fetched, info.Checked = got.Fetched, got.Checked
	info.CacheProblem = cache.store(address, got)
	return got.body, info, nil
}

// read counts the element sets of an answer.
func (i *FetchInfo) read(body []byte) error {
	format, err := i.Query.format().gp()
	if err != nil {
		return err
	}
	sets, err := gp.Read(bytes.NewReader(body), format)
	if err != nil {
		return err
	}
	i.Sets, i.Oldest, i.Newest = len(sets), sets[0].Epoch, sets[0].Epoch
	for _, s := range sets {
		if s.Epoch.Before(i.Oldest) {
			i.Oldest = s.Epoch
		}
		if s.Epoch.After(i.Newest) {
			i.Newest = s.Epoch
		}
	}
	return nil
}

// ask sends the query. The entry is nil if CelesTrak has nothing newer than
// what is cached.
func (c *Client) ask(ctx context.Context, q Query, address string, cached *entry) (*entry, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "orrery")
	if c.UserAgent != "" {
		req.Header.Set("User-Agent", c.UserAgent)
	}
	if cached != nil && cached.LastModified != "" {
		req.Header.Set("If-Modified-Since", cached.LastModified)
	}
	if cached != nil && cached.ETag != "" {
		req.Header.Set("If-None-Match", cached.ETag)
	}
	client := defaultHTTP
	if c.HTTP != nil {
		client = *c.HTTP
	}
	// A redirection means that the address is out of date; the usage policy
	// asks not to follow it over and over.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		return nil, unreachable(q, address, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified && cached != nil {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxSize+1))
	if err != nil {
		return nil, unreachable(q, address, err)
	}
	if len(body) > MaxSize {
		return nil, &Error{Query: q, Reason: ReasonTooLarge, Text: fmt.Sprintf("%s sent more than %d MiB for %s; ask for a smaller group", host(address), MaxSize>>20, q)}
	}
	if err := refused(q, address, resp, body); err != nil {
		return nil, err
	}
	return &entry{
		URL: address, LastModified: resp.Header.Get("Last-Modified"), ETag: resp.Header.Get("ETag"), body: body,
	}, nil
}

// defaultHTTP bounds each step and the whole.
var defaultHTTP = http.Client{
	Timeout: 5 * time.Minute,
	Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		IdleConnTimeout:       30 * time.Second,
	},
}

// CelesTrak's words. They come with status 200, 403 or 404, at different times
// and for different queries, so that the words are looked at, not the status.
var (
	notUpdated = regexp.MustCompile(`(?i)has\s+not\s+updated\s+since`)
	lastTime   = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}\s+[0-9]{2}:[0-9]{2}:[0-9]{2}`)
	invalid    = regexp.MustCompile(`(?i)^\s*invalid query`)
	nothing    = regexp.MustCompile(`(?i)^\s*no gp data found`)
)

// excerptLength is how much of a refusal is looked at.
const excerptLength = 2048

// refused tells answers that carry no data from those that ought to.
func refused(q Query, address string, resp *http.Response, body []byte) error {
	text := string(body[:min(len(body), excerptLength)])
	fail := func(reason Reason, format string, args ...any) error {
		return &Error{Query: q, Reason: reason, Text: fmt.Sprintf(format, args...)}
	}
	status := resp.StatusCode
	switch {
	case notUpdated.MatchString(text):
		return notUpdatedError(q, text)
	case invalid.MatchString(text), nothing.MatchString(text):
		return fail(ReasonUnknown, "%s", unknown(q))
	case status == http.StatusOK:
		return nil
	case status == http.StatusForbidden || status == http.StatusTooManyRequests:
		return fail(ReasonRefused, "%s refuses to answer this network address (HTTP %d), as it does after too many requests; do not ask again for two hours, see %s/usage-policy.php", host(address), status, BaseURL)
	case status == http.StatusNotFound:
		return fail(ReasonUnknown, "%s has no page %s (HTTP 404); check the base URL", host(address), address)
	case status >= 300 && status < 400:
		return fail(ReasonRefused, "%s redirects to %q (HTTP %d); use that as base URL", host(address), resp.Header.Get("Location"), status)
	case status >= 500:
		return fail(ReasonUnreachable, "%s has a fault of its own (HTTP %d); try again later", host(address), status)
	}
	return fail(ReasonRefused, "%s answers HTTP %d to %s: %q", host(address), status, q, firstLine(text))
}

func unknown(q Query) string {
	var hint string
	switch {
	case q.Group != "" && meant(q.Group) != "" && meant(q.Group) != q.Group:
		hint = fmt.Sprintf("did you mean %s?", meant(q.Group))
	case q.Group != "":
		hint = fmt.Sprintf("its groups are listed at %s/NORAD/elements/", BaseURL)
	case q.format() == TLE && q.Number > 99_999:
		hint = "TLE has no room for this number; use the format json"
	default:
		hint = "the object may have decayed or its orbit may not be published"
	}
	return fmt.Sprintf("CelesTrak has no data for %s: %s", q, hint)
}

func notUpdatedError(q Query, text string) error {
	const layout = "2006-01-02 15:04:05"
	at, err := time.Parse(layout, strings.Join(strings.Fields(lastTime.FindString(text)), " "))
	if err != nil {
		return &Error{Query: q, Reason: ReasonNotUpdated, Text: fmt.Sprintf("CelesTrak has no newer data for %s than it has sent to this network address before, and sends it once; use the file of then, or try again in two hours", q)}
	}
	return &Error{Query: q, Reason: ReasonNotUpdated, Text: fmt.Sprintf("CelesTrak has no newer data for %s than it has sent to this network address at %s UTC, and sends it once; use the file of then, or try again after %s UTC", q, at.Format("15:04"), at.Add(Fresh).Format("15:04"))}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line[:min(len(line), 120)]
}
