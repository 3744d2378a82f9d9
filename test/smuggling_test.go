package test_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/h1"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/router"
)

// A gadget is a way to mark the end of a body that two parsers may read differently. In its header,
// "LENGTH" stands for the length that the form of the message gives.
type gadget struct {
	name   string
	header string // after the start line and Host, with the line end of each field
	body   string // in place of the body of a form, if not empty
	old    bool   // HTTP/1.0
}

const lengthLine = "Content-Length: LENGTH\r\n"

// gadgetPositions are the places where a byte is put into the line that says "chunked".
var gadgetPositions = []struct {
	name string
	line func(b string) string
}{
	{"before the name", func(b string) string { return lengthLine + b + "Transfer-Encoding: chunked\r\n" }},
	{"inside the name", func(b string) string { return lengthLine + "Transfer" + b + "Encoding: chunked\r\n" }},
	{"before the colon", func(b string) string { return lengthLine + "Transfer-Encoding" + b + ": chunked\r\n" }},
	{"after the colon", func(b string) string { return lengthLine + "Transfer-Encoding:" + b + "chunked\r\n" }},
	{"inside the value", func(b string) string { return lengthLine + "Transfer-Encoding: chun" + b + "ked\r\n" }},
	{"after the value", func(b string) string { return lengthLine + "Transfer-Encoding: chunked" + b + "\r\n" }},
	{"between a field and the gadget", func(b string) string { return lengthLine + "X-Other: 1" + b + "Transfer-Encoding: chunked\r\n" }},
	{"between the length and the gadget", func(b string) string {
		return "Content-Length: LENGTH" + b + "Transfer-Encoding: chunked\r\n"
	}},
}

// gadgetHeaders are the values and pairs of fields. LENGTH is the length that the form gives.
var gadgetHeaders = []string{
	// codings
	lengthLine + "Transfer-Encoding: chunked, identity\r\n", lengthLine + "Transfer-Encoding: identity, chunked\r\n",
	lengthLine + "Transfer-Encoding: gzip, chunked\r\n", lengthLine + "Transfer-Encoding: chunked, chunked\r\n",
	lengthLine + "Transfer-Encoding: chunked;q=1\r\n", lengthLine + "Transfer-Encoding: \"chunked\"\r\n",
	lengthLine + "Transfer-Encoding: CHUNKED\r\n", lengthLine + "Transfer-Encoding: cHuNkEd\r\n", lengthLine + "Transfer-Encoding: \r\n",
	lengthLine + "Transfer-Encoding:\r\n", lengthLine + "Transfer-Encoding: identity\r\n", lengthLine + "Transfer-Encoding: chunked,\r\n",
	lengthLine + "Transfer-Encoding: ,chunked\r\n", lengthLine + "Transfer-Encoding: x chunked\r\n",
	lengthLine + "Transfer-Encoding: xchunked\r\n", lengthLine + "TRANSFER-ENCODING: chunked\r\n", lengthLine + "transfer-encoding: chunked\r\n",
	// folded lines
	lengthLine + "Transfer-Encoding:\r\n chunked\r\n", lengthLine + "Transfer-Encoding:\r\n\tchunked\r\n",
	lengthLine + "Transfer-Encoding: chunked\r\n , identity\r\n", lengthLine + "Transfer-Encoding: identity,\r\n chunked\r\n",
	lengthLine + "X-Other: 1\r\n Transfer-Encoding: chunked\r\n", lengthLine + " Transfer-Encoding: chunked\r\n",
	"Content-Length:\r\n LENGTH\r\nTransfer-Encoding: chunked\r\n", "Content-Length: LENGTH\r\n\t\r\nTransfer-Encoding: chunked\r\n",
	// two lines, and lines about each other
	lengthLine + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
	lengthLine + "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
	lengthLine + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
	lengthLine + "Transfer-Encoding: chunked\r\ntransfer-encoding: x\r\n",
	"Transfer-Encoding: chunked\r\n" + lengthLine, "Transfer-Encoding: chunked\r\n",
	lengthLine + "Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\n",
	lengthLine + "Connection: Content-Length\r\nTransfer-Encoding: chunked\r\n", lengthLine + "Connection: Content-Length\r\n",
	// other names
	lengthLine + "Content-Encoding: chunked\r\n", lengthLine + "X-Transfer-Encoding: chunked\r\n", lengthLine + "Transfer_Encoding: chunked\r\n",
	lengthLine + "Transfer-Encoding-X: chunked\r\n", lengthLine + "TE: chunked\r\n", lengthLine + "X: 1\r\n\r\nTransfer-Encoding: chunked\r\n",
	"X-Content-Length: LENGTH\r\nContent_Length: 0\r\n" + lengthLine,
	// lengths
	"Content-Length: +LENGTH\r\n", "Content-Length: 0xLENGTH\r\n", "Content-Length: LENGTH,LENGTH\r\n", "Content-Length: LENGTH, LENGTH\r\n",
	"Content-Length: -1\r\n", "Content-Length: -LENGTH\r\n", "Content-Length: \r\n", "Content-Length:\r\n", lengthLine + lengthLine,
	lengthLine + "Content-Length: 0\r\n", "Content-Length: 0\r\n" + lengthLine, "Content-Length: 00LENGTH\r\n", "Content-Length: LENGTH.0\r\n",
	"Content-Length: LENGTH;\r\n", "Content-Length: LENGTH 1\r\n", "Content-Length : LENGTH\r\n", "Content-Length: \"LENGTH\"\r\n",
	"Content-Length: 1e1\r\n", "Content-Length: 9223372036854775808\r\n", "Content-Length: 18446744073709551617\r\n",
	"Content-Length: +LENGTH\r\nTransfer-Encoding: chunked\r\n", "Content-Length: x\r\nTransfer-Encoding: chunked\r\n",
	lengthLine + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", lengthLine, "\r\n", "",
}

// gadgetChunks are bodies whose chunks are odd; after each stands the hidden message.
var gadgetChunks = []string{
	"5\r\n[1,2]\r\n0\r\n\r\n", "0x5\r\n[1,2]\r\n0\r\n\r\n", "+5\r\n[1,2]\r\n0\r\n\r\n", "-5\r\n[1,2]\r\n0\r\n\r\n", " 5\r\n[1,2]\r\n0\r\n\r\n",
	"5 \r\n[1,2]\r\n0\r\n\r\n", "005\r\n[1,2]\r\n0\r\n\r\n", "00000000000000005\r\n[1,2]\r\n0\r\n\r\n", "000000000000000000000005\r\n[1,2]\r\n0\r\n\r\n",
	"ffffffffffffffff\r\n[1,2]\r\n0\r\n\r\n", "10000000000000005\r\n[1,2]\r\n0\r\n\r\n", "8000000000000000\r\n[1,2]\r\n0\r\n\r\n",
	"5;a=b\r\n[1,2]\r\n0\r\n\r\n", "5;a=\"b\"\r\n[1,2]\r\n0\r\n\r\n", "5;a\n[1,2]\r\n0\r\n\r\n", "5;a=\"\n\"\r\n[1,2]\r\n0\r\n\r\n", "5;\rx\r\n[1,2]\r\n0\r\n\r\n",
	"5\n[1,2]\r\n0\r\n\r\n", "5\r[1,2]\r\n0\r\n\r\n", "5\r\n[1,2]\n0\r\n\r\n", "5\r\n[1,2]0\r\n\r\n", "5\r\n[1,2]\r\n0\n\r\n", "5\r\n[1,2]\r\n0\r\n\n",
	"5\r\n[1,2]\r\n0\r\n", "5\r\n[1,2]\r\n0", "5\r\n[1,2]\r\n", "5\r\n[1,2]", "5\r\n[1,2]\r\n\r\n0\r\n\r\n", "5_0\r\n[1,2]\r\n0\r\n\r\n", "\r\n5\r\n[1,2]\r\n0\r\n\r\n",
	"5\r\n[1,2]X\r\n0\r\n\r\n", "5\r\n[1,2]\r\n0\r\nX-Trailer: 1\r\n\r\n", "5\r\n[1,2]\r\n0\r\nX-Trailer : 1\r\n\r\n", "5\r\n[1,2]\r\n0\r\nContent-Length: 3\r\n\r\n",
	"5\r\n[1,2]\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\n[1,2]\r\n0\r\n X\r\n\r\n", "5\r\n[1,2]\r\n0;a\r\n\r\n", "5\r\n[1,2]\r\n00\r\n\r\n",
	"5\r\n[1,2]\r\n-0\r\n\r\n", "5\r\n[1,2]\r\n+0\r\n\r\n", "5\r\n[1,2]\r\n0 \r\n\r\n", "g\r\n[1,2]\r\n0\r\n\r\n", ";\r\n[1,2]\r\n0\r\n\r\n", "\x005\r\n[1,2]\r\n0\r\n\r\n",
}

// gadgets returns all gadgets. In a short run it uses only every eighth byte.
func gadgets() []gadget {
	var all []gadget
	step := 1
	if testing.Short() {
		step = 8
	}
	for _, position := range gadgetPositions {
		for b := 0; b < 256; b++ {
			if b%step != 0 && !strings.ContainsRune("\t\r\n -", rune(b)) {
				continue
			}
			all = append(all, gadget{name: fmt.Sprintf("%#02x %s", b, position.name), header: position.line(string([]byte{byte(b)}))})
		}
	}
	for _, old := range []bool{false, true} {
		for _, header := range gadgetHeaders {
			all = append(all, gadget{name: strconv.Quote(header), header: header, old: old})
		}
		for _, body := range gadgetChunks {
			all = append(all, gadget{name: "chunks " + strconv.Quote(body), header: "Transfer-Encoding: chunked\r\n", body: body, old: old})
		}
	}
	return all
}

// forms returns the header and the body of a message with the gadget, in each form, that hides
// another message.
func (g gadget) forms(hidden string) (forms [][2]string) {
	if g.body != "" {
		return [][2]string{{g.header, g.body + hidden}}
	}
	// A parser that believes the length takes the hidden message for the body. One that believes
	// the chunks takes it for the next message.
	body := "0\r\n\r\n" + hidden
	forms = append(forms, [2]string{strings.ReplaceAll(g.header, "LENGTH", strconv.Itoa(len(body))), body})
	// A parser that believes the chunks takes it for the body. One that believes the length takes
	// it for the next message.
	size := strconv.FormatInt(int64(len(hidden)), 16) + "\r\n"
	body = size + hidden + "\r\n0\r\n\r\n"
	return append(forms, [2]string{strings.ReplaceAll(g.header, "LENGTH", strconv.Itoa(len(size))), body})
}

func (g gadget) version() string {
	if g.old {
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

// A smuggler is a gadget in a request that hides another one.
type smuggler struct {
	name  string
	bytes []byte
}

// smugglers returns the requests. The query of a request says which smuggler it belongs to.
func smugglers() (all []smuggler) {
	for _, g := range gadgets() {
		for form := range 2 {
			n := len(all)
			forms := g.forms(fmt.Sprintf("GET /smug?n=%d HTTP/1.1\r\nHost: a\r\n\r\n", n))
			if form >= len(forms) {
				continue
			}
			text := fmt.Sprintf("POST /a?n=%d %s\r\nHost: a\r\n%s\r\n%s", n, g.version(), forms[form][0], forms[form][1])
			all = append(all, smuggler{name: fmt.Sprintf("%d: %s, form %d, %s", n, g.name, form, g.version()), bytes: []byte(text)})
		}
	}
	return all
}

// A twinCall is a request as a plain handler saw it.
type twinCall struct {
	header http.Header
	body   string
	whole  bool
}

// A smugglersTwin is the plain net/http service that ours is compared with.
type smugglersTwin struct {
	mu    sync.Mutex
	calls map[int][]twinCall
	smugs int
}

func (s *smugglersTwin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/a" {
		s.mu.Lock()
		s.smugs++
		s.mu.Unlock()
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	s.mu.Lock()
	s.calls[n] = append(s.calls[n], twinCall{header: r.Header, body: string(body), whole: err == nil})
	s.mu.Unlock()
	if err != nil {
		http.Error(w, "bad body", http.StatusBadRequest)
		return
	}
	_, _ = io.WriteString(w, `{"ok":true}`)
}

// A rawUpstream records every request byte for byte, and answers each.
type rawUpstream struct {
	mu     sync.Mutex
	calls  map[int][]*rawMessage
	faults []string
}

var rawLine = regexp.MustCompile(`^POST /a\?n=([0-9]+) HTTP/1\.1$`)

func (u *rawUpstream) serve(l net.Listener) {
	var open sync.WaitGroup
	defer open.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		open.Go(func() { u.talk(c) })
	}
}

func (u *rawUpstream) talk(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		m, err := readRaw(r)
		u.note(m, err)
		if err != nil {
			return
		}
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}"); err != nil {
			return
		}
	}
}

func (u *rawUpstream) note(m *rawMessage, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case m == nil && err == io.EOF:
		return
	case m == nil:
		u.faults = append(u.faults, err.Error())
		return
	case m.err != nil:
		u.faults = append(u.faults, m.line+": "+m.err.Error())
	}
	match := rawLine.FindStringSubmatch(m.line)
	if match == nil {
		u.faults = append(u.faults, m.line)
		return
	}
	n, _ := strconv.Atoi(match[1])
	u.calls[n] = append(u.calls[n], m)
}

// Two parsers could read each of these requests differently. Our server judges it as a plain
// net/http server does, and the upstream gets exactly what a plain handler would have got, framed
// once and by us.
//
// proves F1, F2, H2, H5
func TestNoRequestIsSmuggledToAnUpstream(t *testing.T) {
	t.Parallel()
	cases := smugglers()
	if !testing.Short() {
		require.Greater(t, len(cases), 4200)
	}
	inputs := make([][]byte, len(cases))
	for i, c := range cases {
		inputs[i] = c.bytes
	}
	twin := &smugglersTwin{calls: map[int][]twinCall{}}
	var want []wireVerdict
	synctest.Test(t, func(t *testing.T) { want = judgeWire(t, serveTwin(t, twin), inputs) })
	assert.NotZero(t, twin.smugs, "some are two requests to everybody")
	counts := map[string]int{}
	for _, v := range want {
		counts[fmt.Sprint(v)]++
	}
	t.Log(len(cases), "cases:", counts)

	for _, tt := range []struct {
		name string
		spec backend.Spec
		in   endpoint.Spec
	}{
		{"Document", backend.Spec{}, endpoint.Spec{}},
		{"Document with all headers", backend.Spec{Headers: []string{"*"}}, endpoint.Spec{}},
		{"passthrough", backend.Spec{Headers: []string{"*"}, Decode: backend.Passthrough}, endpoint.Spec{Stream: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := &rawUpstream{calls: map[int][]*rawMessage{}}
			var got []wireVerdict
			synctest.Test(t, func(t *testing.T) {
				got = judgeWire(t, serveSmugglers(t, up, tt.spec, tt.in), inputs)
			})
			assert.Empty(t, up.faults)
			for i, c := range cases {
				assert.Equal(t, want[i], got[i], c.name)
				compareCalls(t, c.name, twin.calls[i], up.calls[i], slices.Contains(tt.spec.Headers, "*"))
			}
		})
	}
}

// serveSmugglers serves /a, with an upstream behind it, until the end of the test.
func serveSmugglers(t *testing.T, up *rawUpstream, spec backend.Spec, in endpoint.Spec) *network {
	t.Helper()
	upstream := newNetwork()
	served := make(chan struct{})
	go func() {
		defer close(served)
		up.serve(upstream)
	}()
	tr := upstream.transport()
	t.Cleanup(func() {
		_ = upstream.Close()
		tr.CloseIdleConnections()
		<-served
	})
	spec.URL, spec.Query = "http://upstream/a", []string{"*"}
	var err error
	in.Proxy, err = backend.HTTP{Transport: tr}.New(spec)
	require.NoError(t, err)
	r := chi.NewRouter()
	require.NoError(t, router.Mount(r, router.Route{Method: "POST", Pattern: "/a", Endpoint: in}))
	return serveWire(t, r)
}

var (
	// oursAlone are the headers that we make; those of a client have no effect.
	oursAlone = []string{"Host", "Content-Length", "Transfer-Encoding", "Accept-Encoding", "X-Request-Id", "X-Forwarded-For",
		"X-Forwarded-Host", "X-Forwarded-Proto"}
	// withTheBody are the headers that a Spec need not name: they say what the body is, not where
	// it ends.
	withTheBody = []string{"Content-Type", "Content-Encoding"}
)

func compareCalls(t *testing.T, name string, want []twinCall, got []*rawMessage, headers bool) {
	t.Helper()
	var cut int
	for _, w := range want {
		if !w.whole {
			cut++
		}
	}
	want = slices.DeleteFunc(slices.Clone(want), func(w twinCall) bool { return !w.whole })
	for _, m := range got {
		if !m.whole {
			cut--
		}
	}
	assert.GreaterOrEqual(t, cut, 0, "%s: a body that was whole arrived in part", name)
	got = slices.DeleteFunc(slices.Clone(got), func(m *rawMessage) bool { return !m.whole })
	if !assert.Len(t, got, len(want), name) {
		return
	}
	for i, m := range got {
		assert.Equal(t, want[i].body, string(m.body), name)
		framing := len(m.values("Content-Length")) + len(m.values("Transfer-Encoding"))
		assert.Equal(t, 1, framing, "%s: %v", name, m.fields)
		for _, f := range m.fields {
			if slices.Contains(oursAlone, f[0]) {
				continue
			}
			assert.True(t, headers || slices.Contains(withTheBody, f[0]), "%s: nobody named %q", name, f)
			assert.Contains(t, want[i].header.Values(f[0]), f[1], "%s: %q", name, f)
			assert.False(t, strings.EqualFold("Transfer-Encoding", strings.ReplaceAll(f[0], "_", "-")), name)
		}
	}
}

// The recorder works: given the bytes that the clients sent, it sees the hidden requests, and
// requests that no strict reader accepts.
func TestTheRecorderSeesWhatIsSmuggled(t *testing.T) {
	t.Parallel()
	var smugs, faults int
	for _, c := range smugglers() {
		up := &rawUpstream{calls: map[int][]*rawMessage{}}
		r := bufio.NewReader(bytes.NewReader(c.bytes))
		for {
			m, err := readRaw(r)
			up.note(m, err)
			if err != nil {
				break
			}
		}
		if slices.ContainsFunc(up.faults, func(fault string) bool { return strings.HasPrefix(fault, "GET /smug?") }) {
			smugs++
		}
		if len(up.faults) > 0 {
			faults++
		}
	}
	assert.NotZero(t, smugs)
	assert.Greater(t, faults, smugs)
}

// A splitter is a gadget in an answer that hides another one.
type splitter struct {
	name   string
	header string // of the gadget
	bytes  []byte
}

const smuggledAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"smuggled\":1}\n"

func splitters() (all []splitter) {
	for _, g := range gadgets() {
		for form, text := range g.forms(smuggledAnswer) {
			answer := fmt.Sprintf("%s 200 OK\r\n%s\r\n%s", g.version(), text[0], text[1])
			all = append(all, splitter{name: fmt.Sprintf("%s, form %d, %s", g.name, form, g.version()), header: g.header, bytes: []byte(answer)})
		}
	}
	return all
}

// A splitUpstream answers the first request of each case with the bytes of the case, and every
// later one correctly. If the answer ends with the connection, or not at all, it closes the
// connection.
type splitUpstream struct{ cases []splitter }

var splitLine = regexp.MustCompile(`^GET /a/([0-9]+)/(first|then) HTTP/1\.1$`)

func (u *splitUpstream) talk(t *testing.T, c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		m, err := readRaw(r)
		if err != nil {
			return
		}
		match := splitLine.FindStringSubmatch(m.line)
		if !assert.NotNil(t, match, m.line) {
			return
		}
		if match[2] == "then" {
			_, err = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(match[1])+13)+
				"\r\n\r\n{\"honest\": "+match[1]+"}\n")
		} else {
			n, _ := strconv.Atoi(match[1])
			_, err = c.Write(u.cases[n].bytes)
			if res, _, fault := u.twin(n); fault != nil || res.ContentLength < 0 && len(res.TransferEncoding) == 0 {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// twin returns what net/http reads of the answer if the connection ends after it.
func (u *splitUpstream) twin(n int) (res *http.Response, body string, err error) {
	if res, err = http.ReadResponse(bufio.NewReader(bytes.NewReader(u.cases[n].bytes)), nil); err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(res.Body)
	return res, string(b), err
}

// explainedAnswers are the answers that we refuse and net/http accepts, with the reason.
var explainedAnswers = map[string]string{
	lengthLine + "Content-Encoding: chunked\r\n": "a Document is not made of a body in an unknown coding; net/http does not look at it",
}

// Two parsers could read each of these answers differently. The client gets a failure, or the
// answer that net/http reads, and leftover bytes never answer the next request.
//
// proves F1, F3, F4
func TestNoAnswerIsSmuggledToAClient(t *testing.T) {
	t.Parallel()
	cases := splitters()
	for _, tt := range []struct {
		name string
		spec backend.Spec
		in   endpoint.Spec
	}{
		{"Document", backend.Spec{}, endpoint.Spec{}},
		{"passthrough", backend.Spec{Headers: []string{"*"}, Decode: backend.Passthrough}, endpoint.Spec{Stream: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const workers = 4
			var all sync.WaitGroup
			var mu sync.Mutex
			counts := map[string]int{}
			for worker := range workers {
				client := newSplitClient(t, &splitUpstream{cases: cases}, tt.spec, tt.in)
				all.Go(func() {
					for n := worker; n < len(cases); n += workers {
						outcome := client.check(t, n, tt.in.Stream)
						mu.Lock()
						counts[outcome]++
						mu.Unlock()
					}
				})
			}
			all.Wait()
			t.Log(len(cases), "cases:", counts)
			assert.NotZero(t, counts["refused"])
			assert.NotZero(t, counts["answered"])
		})
	}
}

// A splitClient is a client of a gateway that has one connection to the upstream.
type splitClient struct {
	up     *splitUpstream
	addr   string
	strict bool // the transport may refuse what net/http, the twin, accepts
}

func newSplitClient(t *testing.T, up *splitUpstream, spec backend.Spec, in endpoint.Spec) *splitClient {
	t.Helper()
	upstream, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := upstream.Accept()
			if err != nil {
				return
			}
			open.Go(func() { up.talk(t, c) })
		}
	})
	tr := backend.NewDefaultTransport()
	switch tr := tr.(type) {
	case *h1.Transport:
		tr.MaxConns = 1
	case *http.Transport:
		tr.MaxConnsPerHost = 1
	}
	t.Cleanup(func() {
		_ = upstream.Close()
		tr.CloseIdleConnections()
		open.Wait()
	})
	spec.URL = "http://" + upstream.Addr().String() + "/a/{n}/{which}"
	in.Proxy, err = backend.HTTP{Transport: tr}.New(spec)
	require.NoError(t, err)
	r := chi.NewRouter()
	require.NoError(t, router.Mount(r, router.Route{Method: "GET", Pattern: "/a/{n}/{which}", Endpoint: in}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	runUntilEnd(t, func(ctx context.Context) error { return adapter.Run(ctx, adapter.Server{Listener: l, Handler: r}) })
	_, lenient := tr.(*http.Transport)
	return &splitClient{up: up, addr: l.Addr().String(), strict: !lenient}
}

// check asks for the first answer of a case and then for a correct one, and returns the result of
// the first.
func (c *splitClient) check(t *testing.T, n int, stream bool) (outcome string) {
	name := c.up.cases[n].name
	conn, err := net.Dial("tcp", c.addr)
	if !assert.NoError(t, err) {
		return "lost"
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute)) // so that the test fails rather than hangs
	_, err = fmt.Fprintf(conn, "GET /a/%d/first HTTP/1.1\r\nHost: a\r\n\r\nGET /a/%d/then HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", n, n)
	assert.NoError(t, err)
	r := bufio.NewReader(conn)
	res, body, whole := readAnswer(r)
	_, want, fault := c.up.twin(n)
	switch {
	case !whole:
		assert.True(t, fault != nil || c.strict, "%s: the answer was whole", name)
		return "aborted"
	case res.StatusCode == http.StatusBadGateway:
		explained := c.strict || !stream && explainedAnswers[c.up.cases[n].header] != ""
		assert.True(t, fault != nil || !stream && !json.Valid([]byte(want)) || explained, "%s: the answer was a good one", name)
		outcome = "refused"
	case assert.Equal(t, http.StatusOK, res.StatusCode, name) && assert.NoError(t, fault, name):
		if !stream {
			want = strings.TrimSpace(want) // a document is the value, not the bytes
		}
		assert.Equal(t, want, body, name)
		assert.Equal(t, 1, len(res.Header["Content-Length"])+len(res.TransferEncoding), name)
		outcome = "answered"
	}
	res, body, whole = readAnswer(r)
	if assert.True(t, whole, name) {
		assert.Equal(t, http.StatusOK, res.StatusCode, name)
		assert.Contains(t, body, fmt.Sprintf(`"honest": %d}`, n), "%s: the next request got another answer", name)
	}
	left, err := io.ReadAll(r)
	assert.NoError(t, err)
	assert.Empty(t, left, name)
	return outcome
}

func readAnswer(r *bufio.Reader) (res *http.Response, body string, whole bool) {
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, "", false
	}
	b, err := io.ReadAll(res.Body)
	return res, string(b), err == nil
}
