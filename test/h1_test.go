package test_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

	"github.com/sluice-go/sluice/backend/h1"
)

// answerCases are the answers that two parsers could read differently: those of the smugglers, and
// the requests of llhttp's tests with a status line in place of the request line.
func answerCases(t testing.TB) []splitter {
	cases := splitters()
	version := regexp.MustCompile(`HTTP/[0-9.]*$`)
	for _, r := range readLLHTTP(t, "testdata/llhttp/requests.md") {
		line, rest, _ := strings.Cut(string(r.bytes), "\r\n")
		v := version.FindString(line)
		if v == "" {
			v = "HTTP/1.1"
		}
		text := v + " 200 OK\r\n" + rest
		cases = append(cases, splitter{name: "llhttp " + r.name, bytes: []byte(text)})
	}
	return cases
}

// The transport refuses each of these answers, or reads what net/http reads, and nothing in them
// answers the next call.
//
// proves F1, F3, F4
func TestNoAnswerIsSmuggledThroughH1(t *testing.T) {
	t.Parallel()
	cases := answerCases(t)
	upstream := &splitUpstream{cases: cases}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { upstream.talk(t, c) })
		}
	})
	t.Cleanup(open.Wait)
	t.Cleanup(func() { _ = l.Close() })
	const workers = 4
	var mu sync.Mutex // guards counts
	counts := map[string]int{}
	var all sync.WaitGroup
	for worker := range workers {
		tr := &h1.Transport{MaxConns: 1}
		t.Cleanup(tr.CloseIdleConnections)
		all.Go(func() {
			for n := worker; n < len(cases); n += workers {
				outcome := checkAnswer(t, tr, upstream, "http://"+l.Addr().String(), n)
				mu.Lock()
				counts[outcome]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	t.Log(len(cases), "cases:", counts)
	for _, outcome := range []string{"refused", "cut", "answered"} {
		assert.NotZero(t, counts[outcome], outcome)
	}
}

// checkAnswer asks for the answer of a case and then for a correct one, and returns the result of the
// first.
func checkAnswer(t *testing.T, tr *h1.Transport, up *splitUpstream, url string, n int) (outcome string) {
	name := up.cases[n].name
	res, body, err := callH1(t, tr, fmt.Sprintf("%s/a/%d/first", url, n))
	twin, want, fault := up.twin(n)
	switch {
	case res == nil:
		outcome = "refused"
	case !assert.NotNil(t, twin, "%s: net/http refuses the head", name):
	case err != nil:
		assert.True(t, strings.HasPrefix(want, body) || strings.HasPrefix(body, want), "%s: %q and %q", name, body, want)
		outcome = "cut"
	case assert.NoError(t, fault, name):
		assert.Equal(t, want, body, name)
		assert.Equal(t, twin.Header, res.Header, name)
		if len(twin.Trailer)+len(res.Trailer) > 0 {
			assert.Equal(t, twin.Trailer, res.Trailer, name)
		}
		outcome = "answered"
	}
	res, body, err = callH1(t, tr, fmt.Sprintf("%s/a/%d/then", url, n))
	if assert.NoError(t, err, name) {
		assert.Equal(t, http.StatusOK, res.StatusCode, name)
		assert.Equal(t, "{\"honest\": "+strconv.Itoa(n)+"}\n", body, "%s: the next call got another answer", name)
	}
	return outcome
}

func callH1(t *testing.T, tr *h1.Transport, url string) (res *http.Response, body string, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // so that the test fails rather than hangs
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if !assert.NoError(t, err) {
		return nil, "", err
	}
	if res, err = tr.RoundTrip(req); err != nil {
		assert.NotErrorIs(t, err, context.DeadlineExceeded, url)
		return nil, "", err
	}
	b, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return res, string(b), err
}

// The vectors are worth something: net/http takes some of the llhttp ones and refuses others.
func TestLLHTTPAnswersAreMixed(t *testing.T) {
	t.Parallel()
	var good, bad int
	for _, c := range answerCases(t) {
		if !strings.HasPrefix(c.name, "llhttp ") {
			continue
		}
		_, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(c.bytes)), nil)
		if err != nil && !errors.Is(err, io.EOF) {
			bad++
		} else {
			good++
		}
	}
	assert.Greater(t, good, 50)
	assert.Greater(t, bad, 20)
}
