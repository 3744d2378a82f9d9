package h1_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAnUpgradedConnectionBelongsToTheCaller(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	done := make(chan string, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		_, _ = http.ReadRequest(r)
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nearly")
		b, _ := io.ReadAll(r)
		_, _ = io.WriteString(c, "late")
		done <- string(b)
	}()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+listener.Addr().String()+"/", nil)
	require.NoError(t, err)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "x")
	res, err := newTransport(t).RoundTrip(req)
	require.NoError(t, err)
	assert.Equal(t, 101, res.StatusCode)
	assert.Equal(t, "x", res.Header.Get("Upgrade"))
	cancel() // ends only the call
	stream, ok := res.Body.(io.ReadWriteCloser)
	require.True(t, ok)
	early := make([]byte, 5)
	_, err = io.ReadFull(stream, early)
	require.NoError(t, err)
	assert.Equal(t, "early", string(early))
	_, err = io.WriteString(stream, "to you")
	assert.NoError(t, err)
	half, ok := stream.(interface{ CloseWrite() error })
	require.True(t, ok)
	assert.NoError(t, half.CloseWrite())
	assert.Equal(t, "to you", <-done)
	late, err := io.ReadAll(stream)
	assert.NoError(t, err)
	assert.Equal(t, "late", string(late))
	assert.NoError(t, stream.Close())
}

func TestCloseWriteNeedsAConnectionThatCan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		peer := &peer{serve: onceThenClose("HTTP/1.1 101 Switching Protocols\r\n\r\n")}
		res, err := get(t.Context(), peer.transport(), "GET")
		require.NoError(t, err)
		assert.ErrorIs(t, res.Body.(interface{ CloseWrite() error }).CloseWrite(), http.ErrNotSupported)
		assert.NoError(t, res.Body.Close())
	})
}

func TestInformationalAnswersGoToTheTrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		peer := answers("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 199 X\r\n\r\n" + hello)
		transport := peer.transport()
		var heard []string
		var conns []bool
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				heard = append(heard, http.StatusText(code)+h.Get("Link"))
				return nil
			},
			GotConn:              func(info httptrace.GotConnInfo) { conns = append(conns, info.Reused) },
			GotFirstResponseByte: func() { heard = append(heard, "first") },
		})
		for range 2 {
			res, err := get(ctx, transport, "GET")
			assert.Equal(t, "hello", body(t, res, err))
		}
		assert.Equal(t, []string{"first", "Early Hintsa", "", "first", "Early Hintsa", ""}, heard)
		assert.Equal(t, []bool{false, true}, conns)
		transport.CloseIdleConnections()
	})
}

func TestATraceCanEndACall(t *testing.T) {
	t.Parallel()
	for want, trace := range map[string]*httptrace.ClientTrace{
		io.ErrClosedPipe.Error(): {Got1xxResponse: func(int, textproto.MIMEHeader) error { return io.ErrClosedPipe }},
		"first bug":              {Got1xxResponse: func(int, textproto.MIMEHeader) error { panic("first bug") }},
		"second bug":             {GotConn: func(httptrace.GotConnInfo) { panic("second bug") }},
		"third bug":              {GotFirstResponseByte: func() { panic("third bug") }},
	} {
		synctest.Test(t, func(t *testing.T) {
			transport := answers("HTTP/1.1 103 Early Hints\r\n\r\n" + hello).transport()
			transport.MaxConns = 1
			for range 2 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				_, err := get(httptrace.WithClientTrace(ctx, trace), transport, "GET")
				assert.ErrorContains(t, err, want)
				cancel()
			}
		})
	}
}

func TestAHookThatEndsItsGoroutineGivesThePlaceBack(t *testing.T) {
	t.Parallel()
	for _, trace := range []*httptrace.ClientTrace{
		{GotConn: func(httptrace.GotConnInfo) { runtime.Goexit() }},
		{Got1xxResponse: func(int, textproto.MIMEHeader) error { runtime.Goexit(); return nil }},
		nil, // Dial does it
	} {
		synctest.Test(t, func(t *testing.T) {
			peer := answers("HTTP/1.1 103 Early Hints\r\n\r\n" + hello)
			transport := peer.transport()
			transport.MaxConns = 1
			ctx := t.Context()
			if trace != nil {
				ctx = httptrace.WithClientTrace(ctx, trace)
			} else {
				transport.Dial = func(context.Context, string, string) (net.Conn, error) { runtime.Goexit(); return nil, nil }
			}
			var calls sync.WaitGroup
			calls.Go(func() { _, _ = get(ctx, transport, "GET") })
			calls.Wait()
			transport.Dial = peer.dial
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			res, err := get(ctx, transport, "GET")
			assert.Equal(t, "hello", body(t, res, err))
			transport.CloseIdleConnections()
		})
	}
}
