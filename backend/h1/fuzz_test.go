package h1_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

// pieces cuts text where seed says. A seed of 0 leaves it whole.
func pieces(text []byte, seed uint64) (cut [][]byte) {
	random := rand.New(rand.NewPCG(seed, 0))
	for len(text) > 0 {
		n := len(text)
		if seed != 0 {
			n = min(n, 1+random.IntN(1<<random.IntN(8)))
		}
		cut = append(cut, text[:n])
		text = text[n:]
	}
	return cut
}

// sayAll writes text in the pieces that seed says.
func (k *talk) sayAll(text []byte, seed uint64) {
	for _, p := range pieces(text, seed) {
		_, _ = k.Write(p)
	}
}

// readAnswer returns what ours and the twin read of an answer after which the connection ends. In
// which pieces it arrives makes no difference to ours.
func readAnswer(t *testing.T, answer []byte, seed uint64, method string) (ours, twin reading) {
	synctest.Test(t, func(t *testing.T) {
		ending := func(seed uint64) script {
			return func(k *talk) bool {
				k.drain()
				k.sayAll(answer, seed)
				k.finish()
				return false
			}
		}
		twin = exchange(t, newTwin(t, inMemory(t, ending(0)).dial), method)
		ours = exchange(t, newOurs(t, inMemory(t, ending(0)).dial), method)
		split := exchange(t, newOurs(t, inMemory(t, ending(seed)).dial), method)
		same(t, ours, split, answer)
	})
	return ours, twin
}

// same checks that two readings of the same answer by ours do not differ.
func same(t *testing.T, want, got reading, input any) {
	t.Helper()
	assert.Equal(t, want.Refused == nil, got.Refused == nil, "refused: %q: %v and %v", input, want.Refused, got.Refused)
	assert.Equal(t, want.Cut == nil, got.Cut == nil, "cut: %q: %v and %v", input, want.Cut, got.Cut)
	want.Refused, want.Cut, got.Refused, got.Cut = nil, nil, nil, nil
	assert.ElementsMatch(t, want.Announce, got.Announce)
	want.Announce, got.Announce = nil, nil
	assert.Equal(t, want, got, "%q", input)
}

// Whatever a head says, ours refuses it or reads what net/http reads.
func FuzzHead(f *testing.F) {
	for i, a := range rawAnswers {
		if len(a.answer) < 1<<10 {
			f.Add([]byte(a.answer), uint64(i), uint8(0))
		}
		if a.method == http.MethodHead {
			f.Add([]byte(a.answer), uint64(i), uint8(1))
		}
	}
	f.Fuzz(func(t *testing.T, answer []byte, seed uint64, method uint8) {
		ours, twin := readAnswer(t, answer, seed, []string{http.MethodGet, http.MethodHead, http.MethodDelete}[method%3])
		agree(t, ours, twin, answer)
	})
}

// Whatever chunks say, ours refuses them or reads what net/http reads.
func FuzzChunks(f *testing.F) {
	for i, a := range rawAnswers {
		if _, body, ok := strings.Cut(a.answer, chunked); ok {
			f.Add([]byte(body), uint64(i))
		}
	}
	f.Add([]byte("1;"+strings.Repeat("a", 3000)+"\r\nx\r\n1;"+strings.Repeat("a", 3000)+"\r\nx\r\n0\r\n\r\n"), uint64(7))
	f.Add([]byte("1000\r\n"+strings.Repeat("a", 4096)+"\r\n5\r\nhello\r\n0\r\n\r\n"), uint64(3))
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		answer := append([]byte(okLine+"Trailer: X-Sum\r\n"+chunked), body...)
		ours, twin := readAnswer(t, answer, seed, http.MethodGet)
		agree(t, ours, twin, answer)
		if ours.Refused != nil {
			t.Errorf("a good head was refused: %v", ours.Refused)
		}
	})
}

// What a call reads depends only on what was sent after its request was written. All that arrived
// before belongs to the call before it, or to nobody.
func FuzzReuse(f *testing.F) {
	for i, a := range rawAnswers {
		if len(a.answer) < 1<<10 {
			f.Add([]byte(a.answer), []byte(honest), uint64(i))
			f.Add([]byte(a.answer+forged), []byte(a.answer), uint64(i+1))
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte, seed uint64) {
		synctest.Test(t, func(t *testing.T) {
			answer := func(k *talk, text []byte, ends bool) bool {
				k.drain()
				k.sayAll(text, seed)
				if ends {
					k.finish()
				}
				return !ends
			}
			alone := func(text []byte) reading {
				p := inMemory(t, func(k *talk) bool { return answer(k, text, true) })
				return send(newOurs(t, p.dial), newCall(t))
			}
			want := alone(second)
			p := inMemory(t, func(k *talk) bool {
				if k.first && k.nth == 0 {
					return answer(k, first, false)
				}
				return answer(k, second, true)
			})
			tr := newOurs(t, p.dial)
			before := send(tr, newCall(t)) // fails in time if first is no whole answer
			if before.whole() {
				same(t, alone(first), before, first)
			}
			synctest.Wait() // all of first has arrived
			same(t, want, send(tr, newCall(t)), [][]byte{first, second})
		})
	})
}

// newCall returns a GET that ends when its patience does.
func newCall(t testing.TB) *http.Request {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, upstreamURL, nil)
	assert.NoError(t, err)
	return req
}

// A sent is what an upstream read of a request, by net/http.
type sent struct {
	Head    string // as on the wire
	Request *http.Request
	Fault   error // why it is no request
	Body    string
	Cut     error
	Left    string // what came behind it
}

// readingOne returns an upstream in memory that reads one request, answers it, and reads what is left.
func readingOne(t testing.TB, got *sent) *upstream {
	p := new(upstream)
	done := make(chan struct{})
	var server net.Conn
	p.dial = func(context.Context, string, string) (net.Conn, error) {
		if p.conns.Add(1) > 1 {
			return nil, net.ErrClosed
		}
		var client net.Conn
		client, server = newMemory()
		go func() {
			defer close(done)
			defer server.Close()
			var raw bytes.Buffer
			in := bufio.NewReader(io.TeeReader(server, &raw))
			r, err := http.ReadRequest(in)
			head, _, _ := strings.Cut(raw.String(), "\r\n\r\n")
			got.Head, got.Request, got.Fault = head, r, err
			if err != nil {
				return
			}
			b, err := io.ReadAll(r.Body)
			got.Body, got.Cut = string(b), err
			_, _ = io.WriteString(server, okLine+"Connection: close\r\nContent-Length: 0\r\n\r\n")
			left, _ := io.ReadAll(in)
			got.Left = string(left)
		}()
		return client, nil
	}
	t.Cleanup(func() {
		if server != nil {
			_ = server.Close()
			<-done
		}
	})
	return p
}

// A plainBody hides what it reads from.
type plainBody struct{ io.Reader }

func (plainBody) Close() error { return nil }

// Whatever a request says, ours refuses it, or net/http reads exactly this request and nothing behind
// it, and the same that net/http's transport sends.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/a?b=c", "", "X-A", "1", "", "", []byte(nil), int64(0), uint8(0))
	f.Add("POST", "/", "other.test", "Content-Type", "text/plain", "", "", []byte("hello"), int64(5), uint8(0))
	f.Add("POST", "/", "", "X-A", "a b\tc", "X-Sum", "1", []byte("hello"), int64(-1), uint8(0))
	f.Add("PUT", "/", "", "X-A", "", "X-Sum", "1\r\n\r\nGET /smug HTTP/1.1", []byte("hello"), int64(-1), uint8(1))
	f.Add("G ET", "/", "", "X-A", "1", "", "", []byte(nil), int64(0), uint8(0))
	f.Add("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET", "/", "", "X-A", "1", "", "", []byte(nil), int64(0), uint8(0))
	f.Add("GET", "/ HTTP/1.1\r\nX: ", "", "X-A", "1", "", "", []byte(nil), int64(0), uint8(2))
	f.Add("GET", "//a b", "", "X-A", "1", "", "", []byte(nil), int64(0), uint8(2))
	f.Add("GET", "*", "", "X-A", "1", "", "", []byte(nil), int64(0), uint8(2))
	f.Add("GET", "/", "a\r\nX: 1", "X-A", "1", "", "", []byte(nil), int64(0), uint8(0))
	f.Add("GET", "/", "ä.test", "X-A", "1", "", "", []byte(nil), int64(0), uint8(0))
	f.Add("GET", "/", "[::1%25eth0]:80", "X-A", "1", "", "", []byte(nil), int64(0), uint8(0))
	f.Add("GET", "/", "", "X A", "1", "", "", []byte(nil), int64(0), uint8(0))
	f.Add("GET", "/", "", "X-A:1\r\nX-B", "1", "", "", []byte(nil), int64(0), uint8(0))
	f.Add("GET", "/", "", "X-A", "1\r\n\r\nGET /smug HTTP/1.1", "", "", []byte(nil), int64(0), uint8(0))
	f.Add("GET", "/", "", "X-A", " 1 ", "", "", []byte(nil), int64(0), uint8(0))
	for _, name := range []string{"Content-Length", "Transfer-Encoding", "Host", "Trailer", "Connection", "User-Agent", "Expect", "content-length", "Te", "Upgrade"} {
		f.Add("POST", "/", "", name, "3", "", "", []byte("hello"), int64(5), uint8(0))
		f.Add("GET", "/", "", name, "close", "", "", []byte(nil), int64(0), uint8(0))
		f.Add("POST", "/", "", "X-A", "1", name, "7", []byte("hello"), int64(-1), uint8(0))
	}
	for length := int64(-2); length < 8; length++ {
		for flags := range uint8(16) {
			f.Add("POST", "/", "", "X-A", "1", "X-Sum", "1", []byte("hello"), length, flags)
			f.Add("PATCH", "/", "", "X-A", "1", "", "", []byte(""), length, flags)
		}
	}
	f.Fuzz(func(t *testing.T, method, target, host, name, value, trailer, sum string, body []byte, length int64, flags uint8) {
		if strings.EqualFold(name, "Expect") || method == http.MethodConnect {
			return // other tests
		}
		build := func(t *testing.T) *http.Request {
			u, err := url.Parse(target)
			switch {
			case flags&2 != 0:
				u = &url.URL{Opaque: target}
			case err != nil:
				u = &url.URL{Path: target}
			}
			u.Scheme, u.Host, u.User = "http", "upstream.test", nil
			req := &http.Request{Method: method, URL: u, Host: host, Header: http.Header{name: {value}}, Close: flags&4 != 0}
			if body != nil {
				req.Body, req.ContentLength = plainBody{bytes.NewReader(body)}, length
				if flags&1 != 0 {
					req.GetBody = func() (io.ReadCloser, error) { return plainBody{bytes.NewReader(body)}, nil }
				}
				if flags&8 != 0 {
					req.TransferEncoding = []string{"chunked"}
				}
			}
			if trailer != "" {
				req.Trailer = http.Header{trailer: {sum}}
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			t.Cleanup(cancel)
			return req.WithContext(ctx)
		}
		var ours, twin sent
		var got, want reading
		synctest.Test(t, func(t *testing.T) {
			got = send(newOurs(t, readingOne(t, &ours).dial), build(t))
		})
		synctest.Test(t, func(t *testing.T) {
			tr := newTwin(t, readingOne(t, &twin).dial)
			tr.DisableKeepAlives = false // it would add Connection: close
			want = send(tr, build(t))
		})
		if got.Refused != nil && (ours.Request == nil || ours.Cut != nil || len(ours.Body) < len(body)) {
			assert.True(t, ours.Request != nil || ours.Head == "", "half a request: %q", ours.Head)
			return // refused, or cut off because the body is not what the length says
		}
		assert.NoError(t, got.Refused)
		assert.NoError(t, ours.Fault, "%q", ours.Head)
		assert.NoError(t, ours.Cut)
		assert.Empty(t, ours.Left)
		if length > 0 && length < int64(len(body)) {
			return // another test
		}
		if twin.Fault != nil {
			return // net/http sends what it cannot read, such as a second length in lower case
		}
		if !assert.NoError(t, want.Refused, "net/http refuses to send %q", ours.Head) || t.Failed() {
			return
		}
		for i, line := range strings.Split(ours.Head, "\r\n") {
			assert.False(t, strings.ContainsAny(line, "\r\n\x00"), "line %q", line)
			if i > 0 {
				assert.Regexp(t, "^[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[^\x00-\x08\x0a-\x1f\x7f]*$", line)
			}
		}
		a, b := ours.Request, twin.Request
		assert.Equal(t, b.Method, a.Method)
		assert.Equal(t, b.RequestURI, a.RequestURI)
		assert.Equal(t, b.Host, a.Host)
		assert.Equal(t, b.Proto, a.Proto)
		assert.Equal(t, b.Header, a.Header)
		assert.Equal(t, b.ContentLength, a.ContentLength)
		assert.Equal(t, b.TransferEncoding, a.TransferEncoding)
		assert.Equal(t, b.Close, a.Close)
		assert.Equal(t, nonEmpty(b.Trailer), nonEmpty(a.Trailer))
		assert.Equal(t, strings.Count(twin.Head, "\r\n"), strings.Count(ours.Head, "\r\n"), "fields: %q and %q", twin.Head, ours.Head)
		assert.Equal(t, twin.Body, ours.Body)
	})
}
