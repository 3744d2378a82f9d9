package revoke_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/endpoint/revoke"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newFilter(t testing.TB, s revoke.Spec) *revoke.Filter {
	t.Helper()
	f, err := revoke.New(s)
	require.NoError(t, err)
	return f
}

func withID(id any) *proxy.Caller {
	return &proxy.Caller{Claims: document.MustParse(fmt.Sprintf(`{"jti":%q,"sub":"ada"}`, fmt.Sprint(id)))}
}
