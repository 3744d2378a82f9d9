package test_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/h1"
)

// A network is a listener in memory with a way to dial it. In a bubble, a test then knows for
// certain that nothing more will come, without waiting.
type network struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newNetwork() *network { return &network{conns: make(chan net.Conn), done: make(chan struct{})} }

func (w *network) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}

func (w *network) Close() error {
	w.once.Do(func() { close(w.done) })
	return nil
}

func (w *network) Addr() net.Addr { return wireAddr }

// transport returns a transport like that of backends that are given none, over the network.
func (w *network) transport() backend.Transport { return dialing(w.dial) }

func dialing(dial func(ctx context.Context, network, address string) (net.Conn, error)) backend.Transport {
	tr := backend.NewDefaultTransport()
	switch tr := tr.(type) {
	case *h1.Transport:
		tr.Dial = dial
	case *http.Transport:
		tr.DialContext = dial
	}
	return tr
}

func (w *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case w.conns <- wireConn{server}:
		return client, nil
	case <-w.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A wireConn has the address that a pipe lacks.
type wireConn struct{ net.Conn }

var wireAddr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4711}

func (wireConn) RemoteAddr() net.Addr { return wireAddr }

// serveWire serves h by our own server until the test is over.
func serveWire(t *testing.T, h http.Handler) *network {
	t.Helper()
	w := newNetwork()
	runUntilEnd(t, func(ctx context.Context) error { return adapter.Run(ctx, adapter.Server{Listener: w, Handler: h}) })
	return w
}

// serveTwin serves h by a plain net/http server with the limits of ours, until the test is over.
func serveTwin(t *testing.T, h http.Handler) *network {
	t.Helper()
	w := newNetwork()
	twin := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: log.New(io.Discard, "", 0)}
	runUntilEnd(t, func(ctx context.Context) error {
		context.AfterFunc(ctx, func() { _ = twin.Close() })
		if err := twin.Serve(w); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return w
}

func runUntilEnd(t *testing.T, run func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
}

// A wireVerdict is the result of writing bytes to a connection: the statuses of the answers, and
// whether the server kept the connection.
type wireVerdict struct {
	Statuses []int
	Kept     bool
}

// judgeWire writes each input to a connection of its own, in one go, and returns the verdict on
// each. It needs a bubble: a connection counts as kept if it is still open after a second in which
// every goroutine was idle.
func judgeWire(t *testing.T, w *network, inputs [][]byte) []wireVerdict {
	t.Helper()
	const atOnce = 200
	var verdicts []wireVerdict
	for len(inputs) > 0 {
		n := min(atOnce, len(inputs))
		talks := make([]*wireTalk, n)
		for i, input := range inputs[:n] {
			talks[i] = startTalk(t, w, input)
		}
		<-time.After(time.Second)
		for _, talk := range talks {
			verdicts = append(verdicts, talk.end())
		}
		inputs = inputs[n:]
	}
	return verdicts
}

type wireTalk struct {
	conn   net.Conn
	closed chan struct{} // by the server
	wrote  chan struct{}
	got    bytes.Buffer // to be read when closed
}

func startTalk(t *testing.T, w *network, input []byte) *wireTalk {
	conn, err := w.dial(t.Context(), "", "")
	require.NoError(t, err)
	talk := &wireTalk{conn: conn, closed: make(chan struct{}), wrote: make(chan struct{})}
	go func() {
		defer close(talk.wrote)
		_, _ = conn.Write(input)
	}()
	go func() {
		defer close(talk.closed)
		_, _ = io.Copy(&talk.got, conn)
	}()
	return talk
}

// A statusLine begins each answer. It occurs nowhere else, because no body in these tests contains
// one.
var statusLine = regexp.MustCompile(`HTTP/1\.[01] ([0-9]{3}) `)

func (talk *wireTalk) end() wireVerdict {
	v := wireVerdict{Kept: true}
	select {
	case <-talk.closed:
		v.Kept = false
	default:
	}
	_ = talk.conn.Close()
	<-talk.closed
	<-talk.wrote
	for _, m := range statusLine.FindAllSubmatch(talk.got.Bytes(), -1) {
		status, _ := strconv.Atoi(string(m[1]))
		v.Statuses = append(v.Statuses, status)
	}
	return v
}

// A rawMessage is a request as it was on the wire, read strictly by RFC 9112: CRLF only, no
// folding, and exactly one way to tell where the body ends.
type rawMessage struct {
	line   string
	fields [][2]string // as written
	body   []byte
	whole  bool  // whether the body is complete
	err    error // what a strict reader cannot accept
}

func (m *rawMessage) values(name string) (values []string) {
	for _, f := range m.fields {
		if strings.EqualFold(f[0], name) {
			values = append(values, f[1])
		}
	}
	return values
}

// readRaw reads a request; io.EOF means that there is none.
func readRaw(r *bufio.Reader) (*rawMessage, error) {
	line, err := readCRLF(r)
	if err != nil {
		return nil, err
	}
	m := &rawMessage{line: line}
	for {
		line, err := readCRLF(r)
		if err != nil {
			return m, m.fail(err)
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ": ")
		if !ok || name == "" || strings.ContainsAny(name, " \t\r\n\x00") {
			return m, m.fail(errors.New("not a field: " + strconv.Quote(line)))
		}
		m.fields = append(m.fields, [2]string{name, value})
	}
	if err := m.readBody(r); err != nil {
		return m, err
	}
	m.whole = true
	return m, nil
}

func (m *rawMessage) fail(err error) error {
	m.err = err
	return err
}

func (m *rawMessage) readBody(r *bufio.Reader) error {
	length, encoding := m.values("Content-Length"), m.values("Transfer-Encoding")
	switch {
	case len(length)+len(encoding) > 1:
		return m.fail(errors.New("more than one header frames the body"))
	case len(length) == 1:
		n, err := strconv.ParseUint(length[0], 10, 31)
		if err != nil {
			return m.fail(err)
		}
		m.body = make([]byte, n)
		got, err := io.ReadFull(r, m.body)
		m.body = m.body[:got]
		return err
	case len(encoding) == 1 && encoding[0] == "chunked":
		return m.readChunks(r)
	case len(encoding) == 1:
		return m.fail(errors.New("not chunked: " + encoding[0]))
	}
	return nil
}

func (m *rawMessage) readChunks(r *bufio.Reader) error {
	for {
		line, err := readCRLF(r)
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(line, 16, 31)
		if err != nil {
			return m.fail(err)
		}
		chunk := make([]byte, n)
		got, err := io.ReadFull(r, chunk)
		m.body = append(m.body, chunk[:got]...)
		if err != nil {
			return err
		}
		if line, err = readCRLF(r); err != nil {
			return err
		}
		if line != "" {
			return m.fail(errors.New("no line end after a chunk, or a trailer"))
		}
		if n == 0 {
			return nil
		}
	}
}

// readCRLF reads a line that ends with CRLF and contains no other CR or LF.
func readCRLF(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		if line != "" {
			err = io.ErrUnexpectedEOF
		}
		return "", err
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(text, "\r\n\x00") {
		return "", errors.New("not a line: " + strconv.Quote(line))
	}
	return text, nil
}

func TestAStrictReaderOfRequestsIsStrict(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in, body string
		ok             bool
	}{
		{"length", "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab", "ab", true},
		{"chunked", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "ab", true},
		{"cut", "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na", "a", false},
		{"both", "POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nab", "", false},
		{"twice", "POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", "", false},
		{"bare line feed", "POST / HTTP/1.1\nContent-Length: 2\r\n\r\nab", "", false},
		{"bare carriage return", "POST / HTTP/1.1\r\nX: a\rb\r\n\r\n", "", false},
		{"folded", "POST / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", "", false},
		{"space before the colon", "POST / HTTP/1.1\r\nX : a\r\n\r\n", "", false},
	} {
		m, err := readRaw(bufio.NewReader(strings.NewReader(tt.in)))
		assert.Equal(t, tt.ok, err == nil, tt.name)
		if m != nil {
			assert.Equal(t, tt.body, string(m.body), tt.name)
			assert.Equal(t, tt.ok, m.whole, tt.name)
		}
	}
}
