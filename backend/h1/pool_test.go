package h1_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend/h1"
)

// slow returns a peer that answers each request after d, and the number of its open connections.
func slow(d time.Duration) (*peer, *atomic.Int64) {
	var open atomic.Int64
	return &peer{serve: func(c net.Conn, r *bufio.Reader, _ int) {
		open.Add(1)
		defer open.Add(-1)
		for {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			<-time.After(d)
			if _, err := io.WriteString(c, hello); err != nil {
				return
			}
		}
	}}, &open
}

func TestAHostHasNoMoreThanMaxConns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		peer, open := slow(time.Second)
		transport := peer.transport()
		transport.MaxConns = 2
		var order []int
		done := make(chan int)
		for i := range 6 {
			go func() {
				res, err := get(t.Context(), transport, "GET")
				body(t, res, err)
				done <- i
			}()
			synctest.Wait() // they come one after the other
		}
		start := time.Now()
		for range 6 {
			order = append(order, <-done)
		}
		assert.InDelta(t, 3*time.Second, time.Since(start), float64(time.Millisecond))
		assert.ElementsMatch(t, []int{0, 1}, order[:2])
		assert.ElementsMatch(t, []int{2, 3}, order[2:4], "first come, first served")
		assert.EqualValues(t, 2, peer.dials.Load())
		assert.EqualValues(t, 2, open.Load())
		transport.CloseIdleConnections()
		synctest.Wait()
		assert.Zero(t, open.Load())
	})
}

func TestAWaiterEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		peer, _ := slow(time.Minute)
		transport := peer.transport()
		transport.MaxConns = 1
		go func() {
			res, err := get(t.Context(), transport, "GET")
			body(t, res, err)
		}()
		synctest.Wait()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := get(ctx, transport, "GET")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))

		res, err := get(t.Context(), transport, "GET") // the place of the one that left goes to the next
		assert.Equal(t, "hello", body(t, res, err))
		transport.CloseIdleConnections()
	})
}

func TestAPlaceIsGivenBackHoweverACallEnds(t *testing.T) {
	t.Parallel()
	ways := map[string]func(t *testing.T, transport *h1.Transport, p *peer){
		"dial": func(t *testing.T, transport *h1.Transport, _ *peer) {
			transport.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }
			_, err := get(t.Context(), transport, "GET")
			e, ok := errors.AsType[*net.OpError](err)
			require.True(t, ok)
			assert.Equal(t, "dial", e.Op)
		},
		"dial panics": func(t *testing.T, transport *h1.Transport, _ *peer) {
			transport.Dial = func(context.Context, string, string) (net.Conn, error) { panic("bug") }
			_, err := get(t.Context(), transport, "GET")
			assert.ErrorContains(t, err, "bug")
		},
		"dial returns nothing": func(t *testing.T, transport *h1.Transport, _ *peer) {
			transport.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, nil }
			_, err := get(t.Context(), transport, "GET")
			assert.Error(t, err)
		},
		"malformed": func(t *testing.T, transport *h1.Transport, p *peer) {
			p.serve = onceThenClose("x\r\n\r\n")
			_, err := get(t.Context(), transport, "GET")
			assert.Error(t, err)
		},
		"no answer": func(t *testing.T, transport *h1.Transport, p *peer) {
			p.serve = onceThenClose("")
			_, err := get(t.Context(), transport, "GET")
			assert.ErrorIs(t, err, io.EOF)
		},
		"body unread": func(t *testing.T, transport *h1.Transport, p *peer) {
			res, err := get(t.Context(), transport, "GET")
			require.NoError(t, err)
			assert.NoError(t, res.Body.Close())
		},
		"body broken": func(t *testing.T, transport *h1.Transport, p *peer) {
			p.serve = onceThenClose("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
			res, err := get(t.Context(), transport, "GET")
			require.NoError(t, err)
			_, err = io.ReadAll(res.Body)
			assert.Error(t, err)
		},
		"invalid target": func(t *testing.T, transport *h1.Transport, _ *peer) {
			req, err := http.NewRequestWithContext(t.Context(), "GET", "http://host/", nil)
			require.NoError(t, err)
			req.URL.RawQuery = "a b"
			_, err = transport.RoundTrip(req)
			assert.Error(t, err)
		},
		"context": func(t *testing.T, transport *h1.Transport, p *peer) {
			p.serve = answers("").serve
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := get(ctx, transport, "GET")
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		},
		"upgrade": func(t *testing.T, transport *h1.Transport, p *peer) {
			p.serve = onceThenClose("HTTP/1.1 101 Switching Protocols\r\n\r\n")
			res, err := get(t.Context(), transport, "GET")
			require.NoError(t, err)
			t.Cleanup(func() { _ = res.Body.Close() })
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				peer := answers(hello)
				serve := peer.serve
				transport := peer.transport()
				dial := transport.Dial
				transport.MaxConns = 1
				for range 2 {
					way(t, transport, peer)
				}
				peer.serve, transport.Dial = serve, dial
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				res, err := get(ctx, transport, "GET")
				assert.Equal(t, "hello", body(t, res, err))
				transport.CloseIdleConnections()
			})
		})
	}
}

func TestAnIdleConnectionIsClosedInTime(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		configure   func(*h1.Transport)
		open, close time.Duration
	}{
		{"by default", func(*h1.Transport) {}, 89 * time.Second, 91 * time.Second},
		{"idle", func(t *h1.Transport) { t.IdleTimeout = time.Minute }, 59 * time.Second, 61 * time.Second},
		{"life", func(t *h1.Transport) { t.IdleTimeout, t.MaxLife = -1, time.Hour }, 53 * time.Minute, time.Hour},
		{"default life", func(t *h1.Transport) { t.IdleTimeout = time.Hour }, 8*time.Minute + 59*time.Second, 10 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				peer, open := slow(0)
				transport := peer.transport()
				tt.configure(transport)
				for range 2 { // the timer works more than once
					res, err := get(t.Context(), transport, "GET")
					body(t, res, err)
					<-time.After(tt.open)
					synctest.Wait()
					assert.EqualValues(t, 1, open.Load())
					<-time.After(tt.close - tt.open)
					synctest.Wait()
					assert.Zero(t, open.Load())
				}
			})
		})
	}
}

func TestAnIdleConnectionWithoutLimitsStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		peer, open := slow(0)
		transport := peer.transport()
		transport.IdleTimeout, transport.MaxLife = -1, -1
		res, err := get(t.Context(), transport, "GET")
		body(t, res, err)
		<-time.After(1000 * time.Hour)
		synctest.Wait()
		assert.EqualValues(t, 1, open.Load())
		res, err = get(t.Context(), transport, "GET")
		body(t, res, err)
		assert.EqualValues(t, 1, peer.dials.Load())
		transport.CloseIdleConnections()
	})
}

func TestABusyConnectionEndsWithItsLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		peer, open := slow(time.Second)
		transport := peer.transport()
		transport.MaxLife = time.Minute
		for range 120 {
			res, err := get(t.Context(), transport, "GET")
			body(t, res, err)
		}
		assert.InDelta(t, 3, peer.dials.Load(), 1)
		assert.LessOrEqual(t, open.Load(), int64(1))
		transport.CloseIdleConnections()
	})
}

func TestNoMoreThanMaxIdleAreKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		peer, open := slow(time.Second)
		transport := peer.transport()
		transport.MaxIdle = 2
		done := make(chan bool)
		for range 5 {
			go func() {
				res, err := get(t.Context(), transport, "GET")
				body(t, res, err)
				done <- true
			}()
		}
		for range 5 {
			<-done
		}
		synctest.Wait()
		assert.EqualValues(t, 2, open.Load())
		transport.CloseIdleConnections()
	})
}

func TestHostsShareNoConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var addresses []string
		peer := answers(hello)
		transport := peer.transport()
		transport.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			addresses = append(addresses, network+" "+address)
			return peer.dial(ctx, network, address)
		}
		for _, url := range []string{"http://a/", "http://A:80/", "http://a:/", "http://a:81/", "http://[::1]/", "http://[::1]:80/", "http://[fe80::1%25eth0]:8080/"} {
			req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
			require.NoError(t, err)
			res, err := transport.RoundTrip(req)
			body(t, res, err)
		}
		assert.Equal(t, []string{"tcp a:80", "tcp a:81", "tcp [::1]:80", "tcp [fe80::1%eth0]:8080"}, addresses)
		transport.CloseIdleConnections()
	})
}

func TestAddressIsDialledWhateverTheURLSays(t *testing.T) {
	t.Parallel()
	url := newServer(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) })
	transport := newTransport(t)
	transport.Address = url[len("http://"):]
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://orders.internal:1/", nil)
	require.NoError(t, err)
	res, err := transport.RoundTrip(req)
	assert.Equal(t, "orders.internal:1", body(t, res, err))
}
