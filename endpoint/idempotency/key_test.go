package idempotency_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/dunglas/httpsfv"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/idempotency"
	"github.com/sluice-go/sluice/proxy"
)

// A key is what another implementation of RFC 9651 takes it for, and only printable.
func FuzzParseKey(f *testing.F) {
	for _, s := range []string{`"a"`, `"a\"b\\"`, `a`, ` "a"`, `"a";b=1`, `"a", "b"`, `""`, "\"\x00\"", `%"a"`, `:YQ==:`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		key, err := idempotency.ParseKey([]string{line})
		if err != nil {
			assert.Empty(t, key)
			return
		}
		assert.True(t, 1 <= len(key) && len(key) <= 255)
		assert.False(t, strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }))
		written, err := httpsfv.Marshal(httpsfv.NewItem(key))
		require.NoError(t, err)
		assert.Equal(t, written, strings.Trim(line, " "), "there is one way to write a String")
	})
}

// Whatever stands under a key is refused, or read and written as it was.
func FuzzReadValue(f *testing.F) {
	values := [][]byte{{}, []byte("hello"), {1, 1}}
	memory := idempotency.NewMemory(0)
	keep := &hooks{Answers: memory, keep: func(ctx context.Context, key string, claim, value []byte, ttl time.Duration) (bool, error) {
		values = append(values, claim, value)
		return memory.Keep(ctx, key, claim, value, ttl)
	}}
	for i, do := range []proxy.Proxy{nil,
		func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return nil, &proxy.Error{Status: 409, Header: http.Header{"Retry-After": {"1"}}}
		},
		func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Header: http.Header{"Content-Length": {"0"}}, Body: http.NoBody}, nil
		},
	} {
		_, _ = (&upstream{do: do}).proxy().With(idempotency.Require(keep))(f.Context(), post(fmt.Sprintf(`"%d"`, i), "{}"))
	}
	for _, value := range values {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		once, err := idempotency.Reread(b)
		if err != nil {
			return
		}
		twice, err := idempotency.Reread(once)
		require.NoError(t, err)
		assert.Equal(t, once, twice)
	})
}

func TestNaughtyStringsAsKeys(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../proxy/document/testdata/blns/blns.json")
	require.NoError(t, err)
	var all []string
	require.NoError(t, json.Unmarshal(b, &all))
	require.Len(t, all, 515)
	u := &upstream{}
	p := u.proxy().With(idempotency.Require(idempotency.NewMemory(0)))
	keys := map[string]bool{}
	for _, s := range all {
		req := post("", "{}")
		req.Header["Idempotency-Key"] = []string{s} // as it is
		if _, err := p(t.Context(), req); err != nil {
			assert.ErrorIs(t, err, idempotency.ErrKey, "%q", s)
		} else {
			assert.True(t, len(s) > 2 && s[0] == '"', "%q", s)
			keys[strings.ReplaceAll(strings.Trim(s, `"`), `\\`, `\`)] = true
		}

		plain := s != "" && len(s) <= 255 && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
		req = post(quoted, "{}")
		_, err := p(t.Context(), req)
		assert.Equal(t, plain, err == nil, "%q: %v", s, err)
		if plain {
			keys[s] = true
		}
	}
	assert.EqualValues(t, len(keys), u.calls.Load(), "no two keys are one")
}
