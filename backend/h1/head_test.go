package h1_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend/h1"
)

// proves F4, M7
func TestAnAnswerThatIsNotStrictlyHTTPIsRefused(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\n"
	tests := []struct{ name, answer string }{
		{"no HTTP", "SSH-2.0-x\r\n\r\n"},
		{"another version", "HTTP/9.9 200 OK\r\n\r\n"},
		{"HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n"},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n"},
		{"lower case", "http/1.1 200 OK\r\n\r\n"},
		{"status of two digits", "HTTP/1.1 20 OK\r\n\r\n"},
		{"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"},
		{"status with a sign", "HTTP/1.1 +20 OK\r\n\r\n"},
		{"status below 100", "HTTP/1.1 099 OK\r\n\r\n"},
		{"no space before the status", "HTTP/1.1x200 OK\r\n\r\n"},
		{"two spaces", "HTTP/1.1  200 OK\r\n\r\n"},
		{"tab before the reason", "HTTP/1.1 200\tOK\r\n\r\n"},
		{"no status", "HTTP/1.1\r\n\r\n"},
		{"control byte in the reason", "HTTP/1.1 200 O\x00K\r\n\r\n"},
		{"CR in the reason", "HTTP/1.1 200 O\rK\r\n\r\n"},
		{"empty line first", "\r\n" + ok + "\r\n"},
		{"bare LF behind the status", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"},
		{"bare LF behind a field", ok + "A: b\nContent-Length: 0\r\n\r\n"},
		{"bare LF at the end", ok + "Content-Length: 0\r\n\n"},
		{"bare CR in a value", ok + "A: b\rc\r\n\r\n"},
		{"two CR", ok + "A: b\r\r\n\r\n"},
		{"NUL in a value", ok + "A: b\x00\r\n\r\n"},
		{"DEL in a value", ok + "A: b\x7f\r\n\r\n"},
		{"folded field", ok + "A: b\r\n c\r\n\r\n"},
		{"folded field with a tab", ok + "A: b\r\n\tc\r\n\r\n"},
		{"folded first field", ok + " A: b\r\n\r\n"},
		{"space before a colon", ok + "Content-Length : 0\r\n\r\n"},
		{"space in a name", ok + "Content Length: 0\r\n\r\n"},
		{"empty name", ok + ": b\r\n\r\n"},
		{"no colon", ok + "A\r\n\r\n"},
		{"name that is not ASCII", ok + "Ä: b\r\n\r\n"},
		{"Content-Length beside Transfer-Encoding", ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"two different lengths", ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"},
		{"a list of lengths", ok + "Content-Length: 5, 5\r\n\r\nhello"},
		{"empty length", ok + "Content-Length: \r\n\r\n"},
		{"negative length", ok + "Content-Length: -1\r\n\r\n"},
		{"signed length", ok + "Content-Length: +5\r\n\r\nhello"},
		{"length with a space", ok + "Content-Length: 5 5\r\n\r\nhello"},
		{"hexadecimal length", ok + "Content-Length: 0x5\r\n\r\nhello"},
		{"length beyond 63 bits", ok + "Content-Length: 9223372036854775808\r\n\r\n"},
		{"coding besides chunked", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		{"chunked twice", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"identity", ok + "Transfer-Encoding: identity\r\n\r\n"},
		{"chunked with a parameter", ok + "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n"},
		{"empty coding", ok + "Transfer-Encoding:\r\n\r\n"},
		{"coding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"coding in 204", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"coding in 103", "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n" + ok + "\r\n"},
		{"forbidden trailer announced", ok + "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\n\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				peer := answers(tt.answer)
				transport := peer.transport()
				for range 2 {
					_, err := get(t.Context(), transport, "GET")
					require.Error(t, err)
					e, ok := errors.AsType[*h1.Error](err)
					require.True(t, ok, "%v", err)
					assert.Contains(t, err.Error(), "malformed answer: ")
					assert.Less(t, len(e.Where), 300)
				}
				assert.EqualValues(t, 2, peer.dials.Load(), "the connection is not used again")
			})
		})
	}
}

func TestAnAnswerIsReadAsNetHTTPReadsIt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method, answer string
		status               string
		length               int64
		header               http.Header
		body                 string
		reused               bool
	}{
		{"plain", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
			"200 OK", 2, http.Header{"Content-Length": {"2"}}, "hi", true},
		{"no reason", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
			"200", 0, http.Header{"Content-Length": {"0"}}, "", true},
		{"names and values", "GET", "HTTP/1.1 299 Ä\r\ncontent-LENGTH:2\t\r\nx-a:  b c \r\nX-A: d\r\nx_b:\r\n\r\nhi",
			"299 Ä", 2, http.Header{"Content-Length": {"2"}, "X-A": {"b c", "d"}, "X_b": {""}}, "hi", true},
		{"equal lengths", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
			"200 OK", 2, http.Header{"Content-Length": {"2"}}, "hi", true},
		{"chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
			"200 OK", -1, http.Header{}, "hi", true},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
			"200 OK", 5, http.Header{"Content-Length": {"5"}}, "", true},
		{"HEAD without length", "HEAD", "HTTP/1.1 200 OK\r\n\r\n", "200 OK", -1, http.Header{}, "", true},
		{"HEAD of chunks", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 OK", -1, http.Header{}, "", true},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", "204 No Content", 0, http.Header{}, "", true},
		{"204 with a length", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
			"204 No Content", 0, http.Header{"Content-Length": {"0"}}, "", true},
		{"304 with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
			"304 Not Modified", 0, http.Header{"Content-Length": {"5"}}, "", true},
		{"close", "GET", "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nhi",
			"200 OK", 2, http.Header{"Content-Length": {"2"}}, "hi", false},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
			"200 OK", 2, http.Header{"Content-Length": {"2"}}, "hi", false},
		{"HTTP/1.0 with keep-alive", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
			"200 OK", 2, http.Header{"Connection": {"keep-alive"}, "Content-Length": {"2"}}, "hi", true},
		{"no-cache for old caches", "GET", "HTTP/1.1 204 No Content\r\nPragma: no-cache\r\n\r\n",
			"204 No Content", 0, http.Header{"Pragma": {"no-cache"}, "Cache-Control": {"no-cache"}}, "", true},
		{"informational answers", "GET", "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			"200 OK", 0, http.Header{"Content-Length": {"0"}}, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				peer := answers(tt.answer)
				ours := peer.transport()
				theirs := &http.Transport{DialContext: peer.dial, DisableCompression: true}
				for _, transport := range []http.RoundTripper{theirs, ours, ours} {
					req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://host/", nil)
					require.NoError(t, err)
					res, err := transport.RoundTrip(req)
					assert.Equal(t, tt.body, body(t, res, err))
					assert.Equal(t, tt.status, res.Status)
					assert.Equal(t, tt.length, res.ContentLength)
					assert.Equal(t, tt.header, res.Header)
					assert.Equal(t, req, res.Request)
					assert.Equal(t, 1, res.ProtoMajor)
				}
				if tt.reused {
					assert.EqualValues(t, 2, peer.dials.Load())
				} else {
					assert.EqualValues(t, 3, peer.dials.Load())
				}
				theirs.CloseIdleConnections()
				ours.CloseIdleConnections()
			})
		})
	}
}

func TestABodyOfNoAnnouncedLengthEndsWithTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		peer := answers("")
		peer.serve = onceThenClose("HTTP/1.1 200 OK\r\n\r\nto the end")
		transport := peer.transport()
		for range 2 {
			res, err := get(t.Context(), transport, "GET")
			assert.Equal(t, "to the end", body(t, res, err))
			assert.EqualValues(t, -1, res.ContentLength)
		}
		assert.EqualValues(t, 2, peer.dials.Load())
	})
}

func TestAHeadIsBounded(t *testing.T) {
	t.Parallel()
	field := "A: " + strings.Repeat("x", 997) + "\r\n" // 1002 bytes
	tests := []struct {
		name   string
		answer string
		ok     bool
	}{
		{"below", "HTTP/1.1 200 OK\r\n" + strings.Repeat(field, 60) + "Content-Length: 0\r\n\r\n", true},
		{"above", "HTTP/1.1 200 OK\r\n" + strings.Repeat(field, 70) + "Content-Length: 0\r\n\r\n", false},
		{"with informational answers", strings.Repeat("HTTP/1.1 103 E\r\n"+field+"\r\n", 70) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false},
		{"endless line", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 1<<20), false},
		{"trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat(field, 70) + "\r\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				transport := answers(tt.answer).transport()
				transport.MaxHeaderBytes = 64 << 10
				res, err := get(t.Context(), transport, "GET")
				if err == nil {
					_, err = io.ReadAll(res.Body)
				}
				if tt.ok {
					assert.NoError(t, err)
				} else {
					assert.ErrorIs(t, err, h1.ErrTooLarge)
				}
				transport.CloseIdleConnections()
			})
		})
	}
}

func TestAnErrorShowsNoValue(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"Set Cookie: secret", "Cookie: secret\x00", "Cookie\xff: secret", "\x01secret", "Cookie ; secret"} {
		synctest.Test(t, func(t *testing.T) {
			_, err := get(t.Context(), answers(fmt.Sprintf("HTTP/1.1 200 OK\r\n%s\r\n\r\n", line)).transport(), "GET")
			require.Error(t, err)
			assert.NotContains(t, err.Error(), "secret")
		})
	}
}
