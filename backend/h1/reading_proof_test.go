package h1_test

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend/h1"
)

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// newOurs returns a transport whose connections are closed at the end of the test.
func newOurs(t testing.TB, dial dialer) *h1.Transport {
	tr := &h1.Transport{Dial: dial}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// newTwin returns net/http's transport, with which ours is compared. Each of its connections serves
// one call, because otherwise surplus bytes go to the log.
func newTwin(t testing.TB, dial dialer) *http.Transport {
	tr := &http.Transport{DialContext: dial, DisableCompression: true, DisableKeepAlives: true}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

const upstreamURL = "http://upstream.test/"

// A reading is what a caller sees of an answer.
type reading struct {
	Refused  error // of RoundTrip
	Cut      error // of the body
	Status   string
	Code     int
	Proto    string
	Header   http.Header
	Length   int64
	Codings  []string
	Body     string
	Trailer  http.Header
	Announce []string // the trailers that were announced
	Close    bool
}

func (r reading) whole() bool { return r.Refused == nil && r.Cut == nil }

// patience ends calls that hang, so that the test fails and says which.
const patience = 30 * time.Second

// exchange sends a request and reads the answer.
func exchange(t testing.TB, rt http.RoundTripper, method string) reading {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, upstreamURL, nil)
	require.NoError(t, err)
	r := send(rt, req)
	assert.NoError(t, ctx.Err(), "the call hangs")
	return r
}

// send sends req and reads the answer.
func send(rt http.RoundTripper, req *http.Request) (r reading) {
	res, err := rt.RoundTrip(req)
	if err != nil {
		r.Refused = err
		return r
	}
	r.Status, r.Code, r.Proto, r.Header, r.Length = res.Status, res.StatusCode, res.Proto, res.Header, res.ContentLength
	r.Codings, r.Close = res.TransferEncoding, res.Close
	for name := range maps.Keys(res.Trailer) {
		r.Announce = append(r.Announce, name)
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		_ = res.Body.Close() // there is no end to read to
		return r
	}
	var b strings.Builder
	_, r.Cut = io.Copy(&b, res.Body)
	r.Body = b.String()
	if r.Cut == nil {
		r.Trailer = res.Trailer
	}
	_ = res.Body.Close()
	return r
}

// agree checks that ours accepted no more than the twin, and that what both accepted is the same.
func agree(t testing.TB, ours, twin reading, input any) {
	t.Helper()
	if ours.Refused != nil {
		return
	}
	if !assert.NoError(t, twin.Refused, "the twin refuses what ours accepts: %q", input) {
		return
	}
	if ours.Cut != nil {
		assert.True(t, strings.HasPrefix(ours.Body, twin.Body) || strings.HasPrefix(twin.Body, ours.Body), "%q: %q and %q", input, ours.Body, twin.Body)
	} else if assert.NoError(t, twin.Cut, "the twin refuses a body that ours accepts: %q", input) {
		assert.Equal(t, twin.Body, ours.Body, "body: %q", input)
		assert.Equal(t, nonEmpty(twin.Trailer), nonEmpty(ours.Trailer), "trailers: %q", input)
	}
	assert.Equal(t, twin.Status, ours.Status, "status: %q", input)
	assert.Equal(t, twin.Code, ours.Code, "status code: %q", input)
	assert.Equal(t, twin.Proto, ours.Proto, "version: %q", input)
	assert.Equal(t, twin.Header, ours.Header, "header: %q", input)
	assert.Equal(t, twin.Length, ours.Length, "length: %q", input)
	assert.Equal(t, twin.Codings, ours.Codings, "codings: %q", input)
	assert.ElementsMatch(t, twin.Announce, ours.Announce, "announced trailers: %q", input)
}

// nonEmpty makes no difference between a header that is nil and one that is empty.
func nonEmpty(h http.Header) http.Header {
	if len(h) == 0 {
		return nil
	}
	return h
}
