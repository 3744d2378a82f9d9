package test_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
)

// An llhttpRequest is what the tests of llhttp, the parser of Node.js, write to a connection.
type llhttpRequest struct {
	name  string
	bytes []byte
}

var (
	llhttpBlock  = regexp.MustCompile("(?ms)^## ([^\n]*)$|^```(http|log)\n(.*?)^```$")
	llhttpEscape = regexp.MustCompile(`\\(r|n|t|f|x[0-9a-fA-F]{2}|[0-7]{1,3})`)
)

// readLLHTTP returns the requests of a file, in the form that testdata/llhttp/requests.md explains.
func readLLHTTP(t testing.TB, file string) (all []llhttpRequest) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var heading string
	for _, m := range llhttpBlock.FindAllStringSubmatch(string(text), -1) {
		switch m[2] {
		case "":
			heading = m[1]
		case "http":
			all = append(all, llhttpRequest{name: fmt.Sprintf("%d: %s", len(all), heading), bytes: llhttpBytes(m[3])})
		}
	}
	return all
}

func llhttpBytes(block string) []byte {
	block = strings.TrimSuffix(block, "\n")
	block = strings.ReplaceAll(block, "\\\n", "")
	block = strings.ReplaceAll(block, "\n", "\r\n")
	return []byte(llhttpEscape.ReplaceAllStringFunc(block, func(escape string) string {
		switch escape[1] {
		case 'r':
			return "\r"
		case 'n':
			return "\n"
		case 't':
			return "\t"
		case 'f':
			return "\f"
		case 'x':
			b, _ := strconv.ParseUint(escape[2:], 16, 8)
			return string([]byte{byte(b)})
		}
		b, _ := strconv.ParseUint(escape[1:], 8, 16)
		return string([]byte{byte(b)})
	}))
}

// explainedRequests are the requests that net/http passes to a handler, with the answer of an
// endpoint and the reason.
var explainedRequests = map[string]struct {
	status int
	reason string
}{
	"77: method / CONNECT request":           {405, connectRefused},
	"78: method / CONNECT request with CAPS": {405, connectRefused},
	"79: method / CONNECT with body":         {405, connectRefused},
	"80: method / M-SEARCH request":          {400, "the target * is no path, so no endpoint can stand there"},
	"163: uri / Underscore in hostname":      {405, connectRefused},
}

const connectRefused = "an endpoint is no tunnel to anywhere: it refuses CONNECT"

// Our server judges every input of the tests of an HTTP/1 parser as a plain net/http server does.
//
// proves F1, F7, H13
func TestLLHTTPGetsTheVerdictOfNetHTTP(t *testing.T) {
	t.Parallel()
	requests := readLLHTTP(t, "testdata/llhttp/requests.md")
	require.Len(t, requests, 166)
	var inputs [][]byte
	for _, r := range requests {
		inputs = append(inputs, r.bytes)
	}
	twin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, "bad body", http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"ok":true}`)
	})
	var want []wireVerdict
	synctest.Test(t, func(t *testing.T) { want = judgeWire(t, serveTwin(t, twin), inputs) })
	counts := map[string]int{}
	for _, v := range want {
		counts[fmt.Sprint(v)]++
	}
	t.Log(counts)

	for _, tt := range []struct {
		name string
		spec backend.Spec
		in   endpoint.Spec
	}{
		{"Document", backend.Spec{Headers: []string{"*"}}, endpoint.Spec{}},
		{"passthrough", backend.Spec{Headers: []string{"*"}, Decode: backend.Passthrough}, endpoint.Spec{Stream: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []wireVerdict
			synctest.Test(t, func(t *testing.T) {
				upstream := serveTwin(t, twin)
				tr := upstream.transport()
				t.Cleanup(tr.CloseIdleConnections)
				tt.spec.URL, tt.spec.Method, tt.spec.Query = "http://upstream/", http.MethodPost, []string{"*"}
				p, err := backend.HTTP{Transport: tr}.New(tt.spec)
				require.NoError(t, err)
				tt.in.Proxy = p
				h, err := endpoint.New(tt.in)
				require.NoError(t, err)
				got = judgeWire(t, serveWire(t, h), inputs)
			})
			for i, r := range requests {
				want := want[i]
				if e, ok := explainedRequests[r.name]; ok {
					assert.NotEqual(t, []int{e.status}, want.Statuses, "%s needs no explanation", r.name)
					want.Statuses = []int{e.status}
				}
				assert.Equal(t, want, got[i], "%s\n%q", r.name, r.bytes)
			}
		})
	}
}
