package auth_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/proxy"
)

func TestAuthorizationIsOneLineThatBeginsWithAScheme(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                string
		lines               []string
		scheme, credentials string
		refused             bool
	}{
		{name: "none"},
		{name: "bearer", lines: []string{"Bearer abc"}, scheme: "bearer", credentials: "abc"},
		{name: "basic", lines: []string{"Basic YTpi"}, scheme: "basic", credentials: "YTpi"},
		{name: "any case", lines: []string{"BEARER abc"}, scheme: "bearer", credentials: "abc"},
		{name: "another scheme", lines: []string{"DPoP abc"}, scheme: "dpop", credentials: "abc"},
		{name: "parameters", lines: []string{`Digest a="b", c="d"`}, scheme: "digest", credentials: `a="b", c="d"`},
		{name: "two blanks", lines: []string{"Bearer   abc "}, scheme: "bearer", credentials: "abc"},
		{name: "without credentials", lines: []string{"Bearer"}, scheme: "bearer"},
		{name: "two lines", lines: []string{"Bearer abc", "Bearer abc"}, refused: true},
		{name: "two lines, the first empty", lines: []string{"", "Bearer abc"}, refused: true},
		{name: "two lines of two schemes", lines: []string{"Basic YTpi", "Bearer abc"}, refused: true},
		{name: "an empty line", lines: []string{""}, refused: true},
		{name: "a blank before the scheme", lines: []string{" Bearer abc"}, refused: true},
		{name: "a tab behind the scheme", lines: []string{"Bearer\tabc"}, refused: true},
		{name: "no scheme", lines: []string{"a:b abc"}, refused: true},
		{name: "a list", lines: []string{"Bearer,Basic abc"}, refused: true},
		{name: "not ASCII", lines: []string{"Bear\u0435r abc"}, refused: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req := proxy.NewRequest("GET", "/")
			req.Header = http.Header{"Authorization": tt.lines}
			req.Upstream.Set("Authorization", "Bearer of the house")
			scheme, credentials, err := auth.Authorization(req)
			assert.Equal(t, tt.scheme, scheme)
			assert.Equal(t, tt.credentials, credentials)
			if !tt.refused {
				assert.NoError(t, err)
				return
			}
			assert.ErrorIs(t, err, auth.ErrAuthorization)
			assert.Equal(t, http.StatusBadRequest, proxy.StatusOf(err))
		})
	}
}
