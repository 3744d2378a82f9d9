package h1_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend/h1"
)

const hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

func TestTheConnectionGoesBackWithTheLastByte(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{hello, chunkedHead + "5\r\nhello\r\n0\r\n\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			peer := answers(answer)
			transport := peer.transport()
			res, err := get(t.Context(), transport, "GET")
			require.NoError(t, err)
			n, err := res.Body.Read(make([]byte, 100))
			assert.Equal(t, 5, n)
			assert.Equal(t, io.EOF, err)
			second, err := get(t.Context(), transport, "GET")
			assert.Equal(t, "hello", body(t, second, err))
			assert.EqualValues(t, 1, peer.dials.Load())

			_, err = res.Body.Read(make([]byte, 1))
			assert.Equal(t, io.EOF, err)
			assert.NoError(t, res.Body.Close())
			assert.NoError(t, res.Body.Close())
			_, err = res.Body.Read(make([]byte, 1))
			assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
			transport.CloseIdleConnections()
		})
	}
}

func TestABodyThatIsNotReadToItsEndEndsTheConnection(t *testing.T) {
	t.Parallel()
	for _, read := range []int{0, 1, 4} {
		synctest.Test(t, func(t *testing.T) {
			peer := answers(hello)
			transport := peer.transport()
			res, err := get(t.Context(), transport, "GET")
			require.NoError(t, err)
			_, _ = io.ReadFull(res.Body, make([]byte, read))
			assert.NoError(t, res.Body.Close())
			_, err = res.Body.Read(make([]byte, 1))
			assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
			second, err := get(t.Context(), transport, "GET")
			assert.Equal(t, "hello", body(t, second, err))
			assert.EqualValues(t, 2, peer.dials.Load())
			transport.CloseIdleConnections()
		})
	}
}

func TestCloseEndsARead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		peer := answers("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nh")
		res, err := get(t.Context(), peer.transport(), "GET")
		require.NoError(t, err)
		time.AfterFunc(time.Second, func() { assert.NoError(t, res.Body.Close()) })
		start := time.Now()
		_, err = io.ReadAll(res.Body)
		assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		assert.Equal(t, time.Second, time.Since(start))
		_, err = res.Body.Read(make([]byte, 1))
		assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
	})
}

// proves F4
func TestBytesBehindAnAnswerNeverAnswerTheNextCall(t *testing.T) {
	t.Parallel()
	for _, surplus := range []string{"!", hello} {
		for _, answer := range []string{hello, chunkedHead + "5\r\nhello\r\n0\r\n\r\n"} {
			synctest.Test(t, func(t *testing.T) {
				peer := answers(answer + surplus)
				transport := peer.transport()
				for range 3 {
					res, err := get(t.Context(), transport, "GET")
					assert.Equal(t, "hello", body(t, res, err))
				}
				assert.EqualValues(t, 3, peer.dials.Load())
			})
		}
	}
}

// proves F4
func TestBytesThatArriveLateNeverAnswerTheNextCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		peer := &peer{serve: func(c net.Conn, r *bufio.Reader, n int) {
			for {
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				_, _ = io.WriteString(c, hello)
				if n == 1 {
					<-time.After(time.Second)
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsmuggl")
				}
			}
		}}
		transport := &h1.Transport{Dial: func(context.Context, string, string) (net.Conn, error) {
			client, server := newMemory()
			go peer.serve(server, bufio.NewReader(server), int(peer.dials.Add(1)))
			return client, nil
		}}
		for range 3 {
			res, err := get(t.Context(), transport, "GET")
			assert.Equal(t, "hello", body(t, res, err))
			<-time.After(2 * time.Second)
		}
		assert.EqualValues(t, 2, peer.dials.Load())
		transport.CloseIdleConnections()
	})
}

// proves T6
func TestACallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, answer string }{
		{"before the answer", ""},
		{"in the status line", "HTTP/1.1 2"},
		{"in the head", "HTTP/1.1 200 OK\r\nA: b"},
		{"behind an informational answer", "HTTP/1.1 103 Early Hints\r\n\r\n"},
		{"before the body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
		{"in the body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"},
		{"in a body to the end", "HTTP/1.1 200 OK\r\n\r\nhe"},
		{"in a chunk", chunkedHead + "5\r\nhe"},
		{"behind a chunk", chunkedHead + "2\r\nhe"},
		{"between chunks", chunkedHead + "2\r\nhe\r\n"},
		{"in a chunk size", chunkedHead + "2\r\nhe\r\n1"},
		{"in the trailers", chunkedHead + "2\r\nhe\r\n0\r\nA: b"},
	}
	for _, tt := range tests {
		for _, reused := range []bool{false, true} {
			for _, after := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, time.Hour} {
				synctest.Test(t, func(t *testing.T) {
					peer := &peer{serve: func(c net.Conn, r *bufio.Reader, _ int) {
						if reused {
							_, _ = http.ReadRequest(r)
							_, _ = io.WriteString(c, hello)
						}
						_, _ = http.ReadRequest(r)
						_, _ = io.WriteString(c, tt.answer)
						_, _ = io.Copy(io.Discard, r)
					}}
					transport := peer.transport()
					if reused {
						res, err := get(t.Context(), transport, "GET")
						body(t, res, err)
					}
					cause := context.Canceled
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					begin := time.Now()
					time.AfterFunc(after, cancel)
					res, err := get(ctx, transport, "GET")
					if err == nil {
						_, err = io.ReadAll(res.Body)
						assert.NoError(t, res.Body.Close())
					}
					assert.ErrorIs(t, err, cause, tt.name)
					assert.LessOrEqual(t, time.Since(begin), max(after, 5*time.Millisecond))
				})
			}
		}
	}
}

func TestAShortDeadlineIsHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := get(ctx, answers("").transport(), "GET")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Millisecond, time.Since(start))
	})
}

func TestTheCauseOfAContextIsTheError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(io.ErrClosedPipe) })
		_, err := get(ctx, answers("").transport(), "GET")
		assert.Equal(t, io.ErrClosedPipe, err)
		_, err = get(ctx, answers("").transport(), "GET")
		assert.Equal(t, io.ErrClosedPipe, err)
	})
}

func TestAnEndlessBodyEndsWithItsContext(t *testing.T) {
	t.Parallel()
	url := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 64<<10)
		for {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	require.NoError(t, err)
	res, err := newTransport(t).RoundTrip(req)
	require.NoError(t, err)
	time.AfterFunc(20*time.Millisecond, cancel)
	start := time.Now()
	_, err = io.Copy(io.Discard, res.Body)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Less(t, time.Since(start), time.Second)
	assert.NoError(t, res.Body.Close())
}
