package h1_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend/h1"
)

const chunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

// inPieces writes s in pieces of n bytes.
func inPieces(w io.Writer, s string, n int) {
	for ; s != ""; s = s[min(n, len(s)):] {
		if _, err := io.WriteString(w, s[:min(n, len(s))]); err != nil {
			return
		}
	}
}

func TestChunksAreJoined(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("0123456789", 2000)
	tests := []struct {
		name, chunks, body string
		trailer            http.Header
	}{
		{"none", "0\r\n\r\n", "", nil},
		{"some", "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", "abc", nil},
		{"leading zeros", "0000000000000002\r\nab\r\n000\r\n\r\n", "ab", nil},
		{"hexadecimal", "4e20\r\n" + large + "\r\nA\r\n0123456789\r\n0\r\n\r\n", large + "0123456789", nil},
		{"extensions", "2;a\r\nab\r\n1;a=\"b c\"\r\nc\r\n0;x\r\n\r\n", "abc", nil},
		{"trailers", "2\r\nab\r\n0\r\nx-a: b\r\nX-A:c\r\n\r\n", "ab", http.Header{"X-A": {"b", "c"}}},
		{"data like a chunk", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n", nil},
	}
	for _, tt := range tests {
		for _, size := range []int{1, 2, 3, 7, 1 << 20} {
			synctest.Test(t, func(t *testing.T) {
				peer := answers("")
				peer.serve = func(c net.Conn, r *bufio.Reader, _ int) {
					for {
						if _, err := http.ReadRequest(r); err != nil {
							return
						}
						inPieces(c, chunkedHead+tt.chunks, size)
					}
				}
				transport := peer.transport()
				for _, room := range []int{1, 100, 100_000} {
					res, err := get(t.Context(), transport, "GET")
					require.NoError(t, err)
					var got strings.Builder
					_, err = io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{res.Body}, make([]byte, room))
					assert.NoError(t, err)
					assert.Equal(t, tt.body, got.String(), "%s in pieces of %d", tt.name, size)
					assert.Equal(t, tt.trailer, res.Trailer)
					assert.NoError(t, res.Body.Close())
				}
				assert.EqualValues(t, 1, peer.dials.Load())
				transport.CloseIdleConnections()
			})
		}
	}
}

func TestAnnouncedTrailersHaveTheirNamesBeforeTheBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		transport := answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: a, ,B\r\n\r\n1\r\nx\r\n0\r\nA: 1\r\nC: 2\r\n\r\n").transport()
		res, err := get(t.Context(), transport, "GET")
		require.NoError(t, err)
		assert.Equal(t, http.Header{"A": nil, "B": nil}, res.Trailer)
		assert.NotContains(t, res.Header, "Trailer")
		assert.Equal(t, "x", body(t, res, nil))
		assert.Equal(t, http.Header{"A": {"1"}, "B": nil, "C": {"2"}}, res.Trailer)
		transport.CloseIdleConnections()
	})
}

// proves F4
func TestChunksThatAreNotStrictAreRefused(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, chunks string }{
		{"space behind the size", "2 \r\nab\r\n0\r\n\r\n"},
		{"tab behind the size", "2\t\r\nab\r\n0\r\n\r\n"},
		{"space before the size", " 2\r\nab\r\n0\r\n\r\n"},
		{"space before an extension", "2 ;a\r\nab\r\n0\r\n\r\n"},
		{"no size", "\r\nab\r\n0\r\n\r\n"},
		{"extension without a size", ";a\r\nab\r\n0\r\n\r\n"},
		{"sign", "+2\r\nab\r\n0\r\n\r\n"},
		{"prefix", "0x2\r\nab\r\n0\r\n\r\n"},
		{"underscore", "1_0\r\nab\r\n0\r\n\r\n"},
		{"17 digits", "00000000000000002\r\nab\r\n0\r\n\r\n"},
		{"64 bits", "8000000000000000\r\nab"},
		{"overflow", "10000000000000002\r\nab\r\n0\r\n\r\n"},
		{"bare LF behind the size", "2\nab\r\n0\r\n\r\n"},
		{"bare CR in the line", "2;\ra\r\nab\r\n0\r\n\r\n"},
		{"NUL in an extension", "2;\x00\r\nab\r\n0\r\n\r\n"},
		{"no CRLF behind the data", "2\r\nabc\r\n0\r\n\r\n"},
		{"two other bytes behind the data", "2\r\nab\n\n0\r\n\r\n"},
		{"CR and another byte behind the data", "2\r\nab\rx0\r\n\r\n"},
		{"bare LF behind the data", "2\r\nab\n0\r\n\r\n"},
		{"bare CR behind the data", "2\r\nab\r0\r\n\r\n"},
		{"bare LF at the end", "2\r\nab\r\n0\r\n\n"},
		{"long line", "2;" + strings.Repeat("a", 5000) + "\r\nab\r\n0\r\n\r\n"},
		{"many extensions", strings.Repeat("1;"+strings.Repeat("a", 1000)+"\r\nx\r\n", 100) + "0\r\n\r\n"},
		{"forbidden trailer", "0\r\nContent-Length: 5\r\n\r\n"},
		{"malformed trailer", "0\r\nA : b\r\n\r\n"},
		{"folded trailer", "0\r\nA: b\r\n c\r\n\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				peer := answers(chunkedHead + tt.chunks)
				transport := peer.transport()
				for range 2 {
					res, err := get(t.Context(), transport, "GET")
					require.NoError(t, err)
					_, err = io.ReadAll(res.Body)
					_, ok := errors.AsType[*h1.Error](err)
					assert.True(t, ok, "%v", err)
					_, again := res.Body.Read(make([]byte, 1))
					assert.Equal(t, err, again)
					assert.NoError(t, res.Body.Close())
				}
				assert.EqualValues(t, 2, peer.dials.Load(), "the connection is not used again")
			})
		})
	}
}

// proves M6
func TestABodyThatEndsTooEarlyIsAnError(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
		chunkedHead,
		chunkedHead + "5\r\nab",
		chunkedHead + "2\r\nab",
		chunkedHead + "2\r\nab\r",
		chunkedHead + "2\r\nab\r\n",
		chunkedHead + "2\r\nab\r\n0",
		chunkedHead + "2\r\nab\r\n0\r\n",
		chunkedHead + "2\r\nab\r\n0\r\nA: b\r\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			peer := &peer{serve: onceThenClose(answer)}
			res, err := get(t.Context(), peer.transport(), "GET")
			require.NoError(t, err)
			_, err = io.ReadAll(res.Body)
			assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "%q", answer)
			assert.NoError(t, res.Body.Close())
		})
	}
}

func TestAHugeChunkBehindASmallOneIsCut(t *testing.T) {
	t.Parallel()
	for _, size := range []string{"7fffffffffffffff", "0FFFFFFFFFFFFFFF"} {
		synctest.Test(t, func(t *testing.T) {
			peer := answers("")
			peer.serve = onceThenClose(chunkedHead + "1\r\na\r\n" + size + "\r\nbc")
			res, err := get(t.Context(), peer.transport(), "GET")
			require.NoError(t, err)
			got, err := io.ReadAll(res.Body)
			assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
			assert.Equal(t, "abc", string(got))
			assert.NoError(t, res.Body.Close())
		})
	}
}
