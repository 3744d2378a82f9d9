package adapter_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/adapter"
)

// proves T1, M30, L25, D13
func TestHalfAHeaderIsClosedAfterFiveSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		start(t, adapter.Server{Listener: l, Handler: ok})
		slow := l.dial(t)
		sent := make(chan struct{})
		go func() { // a byte a second, for as long as somebody reads them
			defer close(sent)
			for _, b := range []byte("GET / HTTP/1.1\r\nHost: a\r\n") {
				if _, err := slow.Write([]byte{b}); err != nil {
					return
				}
				pass(time.Second)
			}
		}()
		closed := make(chan time.Duration)
		go func() { closed <- untilClosed(slow) }()

		status, _ := get(t, l.client(t), "http://public/")
		assert.Equal(t, http.StatusOK, status, "others are answered meanwhile")
		assert.Equal(t, 5*time.Second, <-closed)
		<-sent
	})
}

// proves T1, L25
func TestHalfTheHeaderOfALaterRequestIsClosedToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		start(t, adapter.Server{Listener: l, Handler: ok})
		conn := l.dial(t)
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, answer(t, conn).StatusCode)
		pass(time.Minute - 1) // idle for as long as it may
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\n")
		require.NoError(t, err)
		assert.Equal(t, 5*time.Second, untilClosed(conn))
	})
}

// proves T1, L25, D13
func TestAnIdleConnectionIsClosedAfterAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		start(t, adapter.Server{Listener: l, Handler: ok})
		conn := l.dial(t)
		for range 2 { // even when it has been idle before
			_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, answer(t, conn).StatusCode)
			pass(30 * time.Second)
		}
		assert.Equal(t, 30*time.Second, untilClosed(conn))
	})
}

// A server that also speaks HTTP/2 sets and removes read deadlines of its own: they leave the one
// of net/http alone.
func TestAReadTimeoutOfTheUserHoldsForALaterRequest(t *testing.T) {
	t.Parallel()
	cert := certificate(t, 1)
	plain := func(_ *testing.T, conn net.Conn) net.Conn { return conn }
	tests := []struct {
		name   string
		server adapter.Server
		begin  func(*testing.T, net.Conn) net.Conn
	}{
		{"HTTP/1 alone", adapter.Server{}, plain},
		{"beside h2c", adapter.Server{H2C: true}, plain},
		{"beside HTTP/2 with TLS", adapter.Server{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}},
			func(t *testing.T, conn net.Conn) net.Conn {
				return tls.Client(conn, &tls.Config{RootCAs: pool(cert), ServerName: "localhost"})
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newMemory("public")
				read := make(chan error, 2)
				tt.server.Listener = l
				tt.server.HTTP = func(s *http.Server) { s.ReadTimeout = 10 * time.Second }
				tt.server.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					_, err := io.Copy(io.Discard, r.Body)
					read <- err
				})
				start(t, tt.server)
				conn := tt.begin(t, l.dial(t))
				_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")
				require.NoError(t, err)
				assert.Equal(t, http.StatusOK, answer(t, conn).StatusCode)
				require.NoError(t, <-read)
				_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
				require.NoError(t, err)
				begun := time.Now()
				go func() { _, _ = io.Copy(io.Discard, conn) }()
				select {
				case err = <-read:
					assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
					assert.Equal(t, 10*time.Second, time.Since(begun))
				case <-time.After(time.Minute):
					assert.Fail(t, "the body may take as long as it likes")
				}
			})
		})
	}
}

func TestANegativeTimeoutIsNoLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		start(t, adapter.Server{Listener: l, Handler: ok, ReadHeaderTimeout: -1, IdleTimeout: -1, H2C: true})
		conn := l.dial(t)
		for range 2 {
			_, err := io.WriteString(conn, "GET / HTTP/1.1\r\n")
			require.NoError(t, err)
			pass(24 * time.Hour)
			_, err = io.WriteString(conn, "Host: a\r\n\r\n")
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, answer(t, conn).StatusCode)
			pass(24 * time.Hour)
		}
	})
}

// headerOf is a request whose header has n bytes.
func headerOf(n int) string {
	const begin, end = "GET / HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n"
	return begin + strings.Repeat("x", n-len(begin)-len(end)) + end
}

// proves T1, T5, D13
func TestTheHeaderLimitIs64KiB(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		limit  int
		bytes  int
		status int
	}{
		{"below", 0, 64<<10 - 1, http.StatusOK},
		{"at", 0, 64 << 10, http.StatusOK},
		{"above, with the grace of net/http", 0, 64<<10 + 4<<10 + 1, http.StatusRequestHeaderFieldsTooLarge},
		{"own limit", 8 << 10, 8<<10 + 4<<10 + 1, http.StatusRequestHeaderFieldsTooLarge},
		{"none", -1, 4 << 20, http.StatusOK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newMemory("public")
				start(t, adapter.Server{Listener: l, Handler: ok, MaxHeaderBytes: tt.limit})
				conn := l.dial(t)
				go func() { _, _ = io.WriteString(conn, headerOf(tt.bytes)) }() // the rest is not read after a 431
				assert.Equal(t, tt.status, answer(t, conn).StatusCode)
			})
		})
	}
}

const (
	preface  = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"                          // an empty SETTINGS frame
	request  = "\x82\x86\x84\x41\x01a"                                         // a header block: GET http://a/
	halfHead = "\x00\x00\x40\x01\x05\x00\x00\x00\x01" + "\x82\x86\x84\x41\x8c" // 5 bytes of a HEADERS frame of 64
)

// proves T1, M30
func TestHalfTheFirstHeaderOfHTTP2IsClosedAfterFiveSeconds(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string]string{
		"half a preface":        preface[:20],
		"nothing after preface": preface + settings,
		"half a header":         preface + settings + halfHead,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newMemory("public")
				start(t, adapter.Server{Listener: l, Handler: ok, H2C: true})
				conn := l.dial(t)
				closed := make(chan time.Duration)
				go func() { closed <- untilClosed(conn) }()
				_, err := io.WriteString(conn, sent)
				require.NoError(t, err)
				assert.Equal(t, 5*time.Second, <-closed)
			})
		})
	}
}

// proves T1
func TestAnIdleHTTP2ConnectionIsPinged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		start(t, adapter.Server{Listener: l, Handler: ok, H2C: true})
		conn := l.dial(t)
		closed := make(chan time.Duration)
		_, err := io.WriteString(conn, preface+settings+frames(request))
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, statusOfHTTP2(t, conn))
		go func() { closed <- untilClosed(conn) }()
		synctest.Wait()
		select {
		case d := <-closed:
			assert.Fail(t, "closed", d)
		case <-time.After(14 * time.Second): // before the first ping, which this client leaves without an answer
		}
		assert.Equal(t, 30*time.Second, <-closed, "by the ping that was not answered")
	})
}

// proves T1
func TestHTTP2StaysIdleForAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		dials := 0
		tr := &http.Transport{Protocols: new(http.Protocols), DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials++
			return l.DialContext(ctx, network, addr)
		}}
		tr.Protocols.SetUnencryptedHTTP2(true)
		defer tr.CloseIdleConnections()
		start(t, adapter.Server{Listener: l, Handler: ok, H2C: true})
		for _, tt := range []struct {
			idle  time.Duration
			dials int
		}{
			{0, 1},
			{time.Minute - 1, 1},
			{time.Minute - 1, 1},
			{time.Minute + 1, 2},
		} {
			pass(tt.idle)
			synctest.Wait()
			status, _ := get(t, &http.Client{Transport: tr}, "http://public/")
			assert.Equal(t, http.StatusOK, status)
			assert.Equal(t, tt.dials, dials, "connections, after %v", tt.idle)
		}
	})
}

// proves T1
func TestHalfALaterHeaderOfHTTP2EndsWithThePing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		release := make(chan struct{})
		start(t, adapter.Server{Listener: l, H2C: true, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			close(release)
		})})
		conn := l.dial(t)
		closed := make(chan time.Duration)
		go func() { closed <- untilClosed(conn) }()
		// GET / of authority a is in flight, so the connection is not idle; then half a header and
		// silence.
		whole := "\x00\x00\x06\x01\x05\x00\x00\x00\x01" + request
		later := strings.Replace(halfHead, "\x00\x00\x00\x01", "\x00\x00\x00\x03", 1)
		_, err := io.WriteString(conn, preface+settings+whole+later)
		require.NoError(t, err)
		assert.Equal(t, 30*time.Second, <-closed)
		<-release
	})
}

// proves T5
func TestHTTP2LimitsAreAnnounced(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		server adapter.Server
		want   map[uint16]uint32
		window uint32
	}{
		{"defaults", adapter.Server{}, map[uint16]uint32{3: 100, 4: 64 << 10, 5: 64 << 10, 6: 64<<10 + 320}, 1 << 20},
		{
			"own", adapter.Server{MaxHeaderBytes: 1000, HTTP2: http.HTTP2Config{
				MaxConcurrentStreams: 7, MaxReceiveBufferPerStream: 1 << 17, MaxReceiveBufferPerConnection: 1 << 18,
			}},
			map[uint16]uint32{3: 7, 4: 1 << 17, 5: 1 << 17, 6: 1320}, 1 << 18,
		},
		{
			"small windows", adapter.Server{HTTP2: http.HTTP2Config{MaxReceiveBufferPerStream: 1 << 10, MaxReceiveBufferPerConnection: 1 << 17}},
			map[uint16]uint32{4: 1 << 10, 5: 1 << 14}, 1 << 17, // no frame size is smaller
		},
		{
			"large windows", adapter.Server{HTTP2: http.HTTP2Config{MaxReceiveBufferPerStream: 1 << 22, MaxReceiveBufferPerConnection: 1 << 23}},
			map[uint16]uint32{4: 1 << 22, 5: 1 << 20}, 1 << 23,
		},
		{
			"a stream larger than its connection", adapter.Server{HTTP2: http.HTTP2Config{MaxReceiveBufferPerStream: 1 << 20, MaxReceiveBufferPerConnection: 1 << 17}},
			map[uint16]uint32{4: 1 << 20, 5: 1 << 17}, 1 << 17,
		},
		{
			"an own frame size", adapter.Server{HTTP2: http.HTTP2Config{MaxReadFrameSize: 1 << 15}},
			map[uint16]uint32{4: 64 << 10, 5: 1 << 15}, 1 << 20,
		},
		{
			"none", adapter.Server{HTTP2: http.HTTP2Config{MaxConcurrentStreams: -1, MaxReceiveBufferPerStream: -1, MaxReceiveBufferPerConnection: -1}},
			map[uint16]uint32{3: 1<<32 - 1, 4: 1 << 20, 5: 1 << 20, 6: 64<<10 + 320}, 1 << 20,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newMemory("public")
				tt.server.Listener, tt.server.Handler, tt.server.H2C = l, ok, true
				start(t, tt.server)
				conn := l.dial(t)
				go func() { _, _ = io.WriteString(conn, preface+settings) }()
				got, window := announced(t, conn)
				for id, v := range tt.want {
					assert.Equal(t, v, got[id], "setting %d", id)
				}
				assert.Equal(t, tt.window, window)
			})
		})
	}
}

// A client may fill a frame, as h2spec does (4.2/1). What is announced as the largest must fit into
// the window.
//
// proves T5
func TestAFrameOfTheAnnouncedSizeBreaksNoWindow(t *testing.T) {
	t.Parallel()
	for _, more := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			l := newMemory("public")
			start(t, adapter.Server{Listener: l, Handler: ok, H2C: true})
			conn := l.dial(t)
			go func() { _, _ = io.WriteString(conn, preface+settings) }()
			got, _ := announced(t, conn)
			size := int(got[5]) + more
			post := "\x00\x00\x06\x01\x04\x00\x00\x00\x01\x83" + request[1:]
			data := string([]byte{byte(size >> 16), byte(size >> 8), byte(size), 0, 1, 0, 0, 0, 1}) + strings.Repeat("x", size)
			go func() { _, _ = io.WriteString(conn, post+data) }()
			code := uint32(0) // no error
			for r := bufio.NewReader(conn); ; {
				var head [9]byte
				_, err := io.ReadFull(r, head[:])
				require.NoError(t, err)
				body := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
				_, err = io.ReadFull(r, body)
				require.NoError(t, err)
				kind := head[3]
				if kind == 7 { // GOAWAY
					code = binary.BigEndian.Uint32(body[4:])
					break
				}
				if more > 0 { // the handler may have answered, and net/http reset the stream, without an error
					continue
				}
				if kind == 3 { // RST_STREAM
					code = binary.BigEndian.Uint32(body)
				}
				if kind == 1 || kind == 3 { // HEADERS
					break
				}
			}
			want := []uint32{0, 6}[more] // FRAME_SIZE_ERROR
			assert.Equal(t, want, code)
		})
	}
}

// announced reads the SETTINGS of a server and the window of the connection, from its
// WINDOW_UPDATE.
func announced(t *testing.T, conn net.Conn) (settings map[uint16]uint32, window uint32) {
	r := bufio.NewReader(conn)
	settings = map[uint16]uint32{}
	for window == 0 {
		var head [9]byte
		_, err := io.ReadFull(r, head[:])
		require.NoError(t, err)
		body := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		_, err = io.ReadFull(r, body)
		require.NoError(t, err)
		switch kind := head[3]; kind {
		case 4:
			for ; len(body) > 0; body = body[6:] {
				settings[binary.BigEndian.Uint16(body)] = binary.BigEndian.Uint32(body[2:])
			}
		case 8:
			window = 1<<16 - 1 + binary.BigEndian.Uint32(body)
		default:
			require.Fail(t, fmt.Sprintf("frame of type %d", kind))
		}
	}
	return settings, window
}

// proves T1, T5
func TestTheHeaderLimitHoldsOnHTTP2(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		start(t, adapter.Server{Listener: l, Handler: ok, H2C: true})
		for _, tt := range []struct{ fields, status int }{
			{63, http.StatusOK},
			{68, http.StatusRequestHeaderFieldsTooLarge},
		} {
			conn := l.dial(t)
			// A field of 1 KiB as HTTP/2 counts it (name, value and 32 bytes), put into the table
			// of HPACK, from where the others are taken with a byte each: small on the wire, large
			// when decoded.
			block := request + "\x40\x01x" + hpackLength(991) + strings.Repeat("x", 991) + strings.Repeat("\xbe", tt.fields-1)
			go func() { _, _ = io.WriteString(conn, preface+settings+frames(block)) }()
			assert.Equal(t, tt.status, statusOfHTTP2(t, conn), "%d KiB", tt.fields)
		}
	})
}

// hpackLength is the length of a string literal of 127 bytes or more.
func hpackLength(n int) string {
	b := []byte{127}
	for n -= 127; n >= 128; n >>= 7 {
		b = append(b, byte(n&127|128))
	}
	return string(append(b, byte(n)))
}

// frames cuts a header block into a HEADERS frame and CONTINUATION frames of at most 16 KiB, on
// stream 1.
func frames(block string) string {
	var b strings.Builder
	kind, flags := byte(1), byte(1) // END_STREAM
	for len(block) > 0 {
		n := min(len(block), 16<<10)
		if n == len(block) {
			flags |= 4 // END_HEADERS
		}
		b.Write([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, 0, 0, 0, 1})
		b.WriteString(block[:n])
		block, kind, flags = block[n:], 9, 0
	}
	return b.String()
}

// statusOfHTTP2 reads frames up to the first HEADERS and returns the status in it, 200 or 431.
func statusOfHTTP2(t *testing.T, conn net.Conn) int {
	r := bufio.NewReader(conn)
	for {
		var head [9]byte
		_, err := io.ReadFull(r, head[:])
		require.NoError(t, err)
		body := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		_, err = io.ReadFull(r, body)
		require.NoError(t, err)
		if head[3] != 1 {
			continue
		}
		switch {
		case body[0] == 0x88:
			return 200
		case strings.Contains(string(body), "\x03431"):
			return 431
		default:
			require.Fail(t, fmt.Sprintf("unknown status in %x", body))
		}
	}
}

// proves T5
func TestTheHundredAndFirstStreamIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		start(t, adapter.Server{Listener: l, Handler: work(time.Hour), H2C: true})
		conn := l.dial(t)
		go func() {
			_, _ = io.WriteString(conn, preface+settings)
			for i := range 101 {
				_, _ = conn.Write([]byte{0, 0, byte(len(request)), 1, 5, 0, 0, 0, byte(2*i + 1)})
				_, _ = io.WriteString(conn, request)
			}
		}()
		r := bufio.NewReader(conn)
		for {
			kind, stream := readFrame(t, r)
			if kind == 3 { // RST_STREAM
				assert.Equal(t, uint32(201), stream)
				return
			}
			require.NotEqual(t, byte(1), kind, "no stream is answered")
		}
	})
}

// readFrame returns type and stream of the next HTTP/2 frame.
func readFrame(t *testing.T, r *bufio.Reader) (kind byte, stream uint32) {
	t.Helper()
	var head [9]byte
	_, err := io.ReadFull(r, head[:])
	require.NoError(t, err)
	_, err = r.Discard(int(head[0])<<16 | int(head[1])<<8 | int(head[2]))
	require.NoError(t, err)
	return head[3], binary.BigEndian.Uint32(head[5:])
}

// proves T1
func TestAnHTTP2ClientThatDoesNotReadIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		ended := make(chan time.Duration, 1)
		begun := time.Now()
		start(t, adapter.Server{Listener: l, H2C: true, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(make([]byte, 32<<10)) // within the window, but the connection does not take it
			<-r.Context().Done()
			ended <- time.Since(begun)
		})})
		conn := l.dial(t)
		go func() { _, _ = io.WriteString(conn, preface+settings+frames(request)) }()
		r := bufio.NewReader(conn)
		for kind := byte(0); kind != 1; { // up to the HEADERS of the answer
			kind, _ = readFrame(t, r)
		}
		assert.Equal(t, 15*time.Second, <-ended)
	})
}

// proves T2
func TestAClientThatGoesAwayCancelsItsRequestAtOnce(t *testing.T) {
	t.Parallel()
	for _, sent := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", preface + settings + frames(request)} {
		synctest.Test(t, func(t *testing.T) {
			l := newMemory("public")
			ended := make(chan time.Time, 1)
			start(t, adapter.Server{Listener: l, H2C: true, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				assert.NotErrorIs(t, context.Cause(r.Context()), adapter.ErrDrain)
				ended <- time.Now()
			})})
			conn := l.dial(t)
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			_, err := io.WriteString(conn, sent)
			require.NoError(t, err)
			synctest.Wait()
			gone := time.Now()
			require.NoError(t, conn.Close())
			assert.Equal(t, gone, <-ended)
		})
	}
}
