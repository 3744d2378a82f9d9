package jwt_test

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/endpoint/jwt/jwttest"
)

// A published is a set that an issuer publishes from a time on: under each kid the numbers of the keys.
type published map[string][]int

func (p published) set(t *testing.T, issuers []*jwttest.Issuer) string {
	var keys []string
	for kid, numbers := range p {
		for _, n := range numbers {
			keys = append(keys, strings.Replace(jwkOf(t, issuers[n]), strconv.Quote(issuers[n].KeyID()), strconv.Quote(kid), 1))
		}
	}
	return `{"keys":[` + strings.Join(keys, ",") + `]}`
}

// An issuer changes its keys, under old names and new ones, and is often down. A token is good if the
// last set that came has its key under its kid, and no other one there. One that is remembered stays
// good until its key is gone.
func TestKeysThatChangeAllTheTime(t *testing.T) {
	t.Parallel()
	seeds, _ := strconv.Atoi(os.Getenv("SLUICE_SEEDS"))
	for seed := range uint64(max(seeds, 6)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { churn(t, rand.New(rand.NewPCG(seed, 5))) })
		})
	}
}

func churn(t *testing.T, r *rand.Rand) {
	server := newKeyServer(t)
	issuers := make([]*jwttest.Issuer, 5)
	for i := range issuers {
		issuers[i] = newIssuer(t, "ES256")
	}
	var mu sync.Mutex            // guards what follows
	var current, given published // what there is, and what came last
	var came, asked time.Time    // when that was, and when there was a fetch
	server.breaks(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if asked = time.Now(); current == nil {
			w.WriteHeader(500)
			return
		}
		_, _ = io.WriteString(w, current.set(t, issuers))
		given, came = current, asked
	})
	keys := server.keys()
	keys.Refresh, keys.Keep = time.Minute, 2*time.Minute
	remembers := newTokens(t, spec(keys, "ES256"))
	s := spec(keys, "ES256")
	s.Remember = -1
	forgets := newTokens(t, s)
	token := func(n int, kid string) string {
		return signed(t, issuers[n].Signer().(*ecdsa.PrivateKey), fmt.Sprintf(`{"alg":"ES256","kid":%q}`, kid),
			jsonOf(t, good(claims{"exp": time.Now().Add(1000 * time.Hour).Unix()})))
	}
	tokens := map[string][]string{"a": nil, "b": nil}
	for n := range issuers {
		tokens["a"], tokens["b"] = append(tokens["a"], token(n, "a")), append(tokens["b"], token(n, "b"))
	}
	start := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = keys.Run(ctx)
		}()
		return func() { cancel(); <-ended }
	}
	stop, counts := start(), map[int]int{}
	for range 300 {
		mu.Lock()
		switch r.IntN(6) {
		case 0:
			current = nil
		case 1, 2, 3:
			current = published{}
			for _, kid := range []string{"a", "b"}[:1+r.IntN(2)] {
				current[kid] = r.Perm(len(issuers))[:1+r.IntN(5)/4]
			}
		}
		mu.Unlock()
		if r.IntN(20) == 0 {
			stop()
			stop = start()
		}
		<-time.After(time.Duration(r.IntN(90)) * time.Second)
		synctest.Wait()
		for range 4 {
			kid, n := []string{"a", "b"}[r.IntN(2)], r.IntN(len(issuers))
			known, _ := ask(t.Context(), remembers, tokens[kid][n])
			fresh, _ := ask(t.Context(), forgets, tokens[kid][n])
			synctest.Wait()
			mu.Lock()
			want, wantKnown := 401, []int{401}
			switch has := slices.Contains(given[kid], n); {
			case came.IsZero() || time.Since(came) > keys.Keep:
				want, wantKnown = 503, []int{503}
			case has && len(given[kid]) == 1:
				want, wantKnown = 200, []int{200}
			case has:
				wantKnown = []int{200, 401}
			}
			what := fmt.Sprintf("key %d as %s, of %v, which came %v ago", n, kid, given, time.Since(came))
			mu.Unlock()
			assert.Equal(t, want, fresh, what)
			assert.Contains(t, wantKnown, known, what)
			counts[fresh]++
		}
	}
	stop()
	for _, status := range []int{200, 401, 503} {
		assert.NotZero(t, counts[status], status)
	}
}
