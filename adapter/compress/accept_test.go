package compress_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/adapter/compress"
)

// FuzzAcceptEncoding: whatever a client says, the answer is whole and in a coding that it has named.
func FuzzAcceptEncoding(f *testing.F) {
	for _, s := range []string{"gzip", "zstd;q=0.5, gzip;q=1", "*;q=0", "identity;q=0", "gzip;q=0.0001", ",;q=", "*"} {
		f.Add(s)
	}
	h := wrap(f, compress.Spec{}, text(long))
	f.Fuzz(func(t *testing.T, accept string) {
		res := record(h, "GET", "Accept-Encoding", accept)
		body := make([]byte, 1<<16)
		n, _ := res.Body.Read(body)
		coding := res.Header.Get("Content-Encoding")
		assert.Equal(t, long, decode(t, coding, string(body[:n])))
		if coding != "" && !strings.Contains(strings.ToLower(accept), coding) && !strings.Contains(accept, "*") {
			t.Errorf("%q gets %s", accept, coding)
		}
	})
}

// FuzzTags: conditions of any form do no harm, and a tag of ours is found.
func FuzzTags(f *testing.F) {
	for _, s := range []string{`"abc"`, `W/"a", "abc-gzip"`, `*`, `"`, `W/`, `,,"a`, `"a" "b-gzip"`} {
		f.Add(s)
	}
	h := wrap(f, compress.Spec{}, text(long, "Etag", `"abc"`))
	f.Fuzz(func(t *testing.T, tags string) {
		res := record(h, "GET", "Accept-Encoding", "gzip", "If-None-Match", tags)
		if res.StatusCode == 304 && !strings.Contains(tags, `"abc"`) && !strings.Contains(tags, `"abc-gzip"`) && !strings.Contains(tags, "*") {
			t.Errorf("%q matches", tags)
		}
		record(h, "GET", "Accept-Encoding", "gzip", "If-Match", tags)
	})
}
