package balance_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend/balance"
)

// A record is what a name server answers to a question of its type.
type record struct {
	kind uint16 // typeA, typeAAAA or typeSRV
	data []byte
}

const (
	typeA    = 1
	typeAAAA = 28
	typeSRV  = 33
)

// srv returns a record of RFC 2782.
func srv(priority, weight, port uint16, target string) record {
	b := binary.BigEndian.AppendUint16(nil, priority)
	b = binary.BigEndian.AppendUint16(b, weight)
	b = binary.BigEndian.AppendUint16(b, port)
	return record{typeSRV, appendName(b, target)}
}

func address(ip string) record {
	a := net.ParseIP(ip)
	if v4 := a.To4(); v4 != nil {
		return record{typeA, v4}
	}
	return record{typeAAAA, a}
}

func appendName(b []byte, name string) []byte {
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label != "" {
			b = append(append(b, byte(len(label))), label...)
		}
	}
	return append(b, 0)
}

// nameServer returns a Lookup that asks a name server in memory. Its answer is what answer makes of
// the question, which ends with the type and the class.
func nameServer(answer func(question []byte) []byte) balance.Lookup {
	return balance.Lookup{Via: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() { // as over TCP: each message has its length before it
			defer server.Close()
			var size [2]byte
			for {
				if _, err := io.ReadFull(server, size[:]); err != nil {
					return
				}
				query := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(server, query); err != nil {
					return
				}
				reply := answer(query)
				if _, err := server.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
					return
				}
			}
		}()
		return client, nil
	}}}
}

// questionOf returns the question of a query, and the name and the type in it.
func questionOf(query []byte) (question []byte, name string, kind uint16) {
	i := 12
	for query[i] != 0 {
		name += string(query[i+1:i+1+int(query[i])]) + "."
		i += 1 + int(query[i])
	}
	return query[12 : i+5], name, binary.BigEndian.Uint16(query[i+1:])
}

// replying returns what answers with these records, or that there is no such name.
func replying(names map[string][]record) func(query []byte) []byte {
	return func(query []byte) []byte {
		question, name, kind := questionOf(query)
		records, known := names[name]
		records = slices.DeleteFunc(slices.Clone(records), func(r record) bool { return r.kind != kind })
		b := append(slices.Clone(query[:2]), 0x81, 0x80, 0, 1, 0, byte(len(records)), 0, 0, 0, 0)
		if !known {
			b[3] |= 3
		}
		b = append(b, question...)
		for _, r := range records {
			b = append(b, 0xc0, 12, byte(r.kind>>8), byte(r.kind), 0, 1, 0, 0, 0, 60, byte(len(r.data)>>8), byte(len(r.data)))
			b = append(b, r.data...)
		}
		return b
	}
}

const name = "_http._tcp.items.internal."

func TestResolversOfNames(t *testing.T) {
	t.Parallel()
	dns := func(l balance.Lookup) balance.Resolver { return l.DNS("items.internal.", 8080) }
	service := func(l balance.Lookup) balance.Resolver { return l.SRV("http", "tcp", "items.internal.") }
	host := func(address string, weight, priority int) balance.Host {
		return balance.Host{Address: address, Weight: weight, Priority: priority}
	}
	tests := []struct {
		name     string
		resolver func(balance.Lookup) balance.Resolver
		records  []record
		want     []balance.Host
		err      string
	}{
		{"A", dns, []record{address("192.0.2.2"), address("192.0.2.1")},
			[]balance.Host{host("192.0.2.1:8080", 1, 0), host("192.0.2.2:8080", 1, 0)}, ""},
		{"A and AAAA", dns, []record{address("192.0.2.1"), address("2001:db8::1")},
			[]balance.Host{host("192.0.2.1:8080", 1, 0), host("[2001:db8::1]:8080", 1, 0)}, ""},
		{"the same twice", dns, []record{address("192.0.2.1"), address("192.0.2.1")}, []balance.Host{host("192.0.2.1:8080", 1, 0)}, ""},
		{"no address", dns, []record{}, nil, "no such host"},
		{"no name", dns, nil, nil, "no such host"},
		{"priorities and weights", service, []record{srv(20, 5, 81, "c.internal."), srv(10, 3, 80, "b.internal."), srv(10, 1, 80, "a.internal.")},
			[]balance.Host{host("a.internal:80", 100, 10), host("b.internal:80", 300, 10), host("c.internal:81", 500, 20)}, ""},
		{"all of weight 0", service, []record{srv(1, 0, 80, "a.internal."), srv(1, 0, 80, "b.internal.")},
			[]balance.Host{host("a.internal:80", 1, 1), host("b.internal:80", 1, 1)}, ""},
		{"weight 0 beside others", service, []record{srv(1, 0, 80, "a.internal."), srv(1, 2, 80, "b.internal."), srv(2, 0, 80, "c.internal.")},
			[]balance.Host{host("a.internal:80", 1, 1), host("b.internal:80", 200, 1), host("c.internal:80", 1, 2)}, ""},
		{"the highest figures", service, []record{srv(65535, 65535, 65535, "a.internal.")}, []balance.Host{host("a.internal:65535", 6553500, 65535)}, ""},
		{"port 0", service, []record{srv(1, 1, 0, "a.internal."), srv(1, 1, 80, "b.internal.")}, []balance.Host{host("b.internal:80", 100, 1)},
			`host "a.internal:0" has the port 0, want 1 to 65535`},
		{"the root", service, []record{srv(0, 0, 0, ".")}, nil, "SRV _http._tcp.items.internal.: the service is not offered"},
		{"the root beside a host", service, []record{srv(0, 0, 0, "."), srv(0, 0, 80, "a.internal.")}, []balance.Host{host("a.internal:80", 1, 0)}, ""},
		{"no record", service, []record{}, nil, "no such host"},
		{"a target that is no name", service, []record{srv(1, 1, 80, "a b.internal."), srv(1, 1, 80, "b.internal.")}, []balance.Host{host("b.internal:80", 100, 1)}, ""},
		{"only a target that is no name", service, []record{srv(1, 1, 80, "a/b.internal.")}, nil, "invalid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			names := map[string][]record{}
			if tt.records != nil {
				names["items.internal."], names[name] = tt.records, tt.records
			}
			hosts, answer := tt.resolver(nameServer(replying(names))).Resolve(t.Context())
			synctest.Test(t, func(t *testing.T) { // the lookup needs a real clock, the wait for it does not
				p := newPool(t, balance.Spec{Resolver: balance.ResolverFunc(func(context.Context) ([]balance.Host, error) { return hosts, answer })})
				err := p.Ready(t.Context())
				assert.Equal(t, tt.want == nil, err != nil, "%v", err)
				var got []balance.Host
				for _, h := range p.Hosts() {
					got = append(got, host(h.Address, h.Weight, h.Priority))
				}
				assert.Equal(t, tt.want, got)
				if tt.err == "" {
					assert.NoError(t, p.State().Err)
				} else {
					assert.ErrorContains(t, p.State().Err, tt.err)
				}
			})
		})
	}
}

// The name of a target is absolute: no search domain of this machine is added to it.
func TestATargetIsDialledAsAnAbsoluteName(t *testing.T) {
	t.Parallel()
	dialled := make(chan string, 1)
	c := newCluster(t, 0)
	transport := c.Transport()
	transport.DialContext = func(_ context.Context, _, address string) (net.Conn, error) {
		dialled <- address
		return nil, io.EOF
	}
	lookup := nameServer(replying(map[string][]record{name: {srv(1, 1, 8080, "a.internal.")}}))
	p := newPool(t, balance.Spec{Resolver: lookup.SRV("http", "tcp", "items.internal."), Transport: transport})
	_, err := get(t.Context(), p)
	assert.Error(t, err)
	assert.Equal(t, "a.internal.:8080", <-dialled)
}

// Whatever a name server answers, a pool has a bounded number of hosts that can be dialled, each
// once, and works with them.
//
// proves T22
func FuzzSRV(f *testing.F) {
	query := append([]byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, append(appendName(nil, name), 0, typeSRV, 0, 1)...)
	for _, records := range [][]record{nil, {srv(0, 0, 0, ".")}, {srv(1, 0, 80, "a.internal."), srv(1, 3, 80, "b.internal."), srv(2, 1, 0, "c.")}} {
		f.Add(replying(map[string][]record{name: records})(query)[2:])
	}
	f.Fuzz(func(t *testing.T, reply []byte) {
		lookup := nameServer(func(query []byte) []byte { return append(slices.Clone(query[:2]), reply...) })
		lookup.Via.StrictErrors = true // else a broken answer is asked for again and again
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		hosts, err := lookup.SRV("http", "tcp", "items.internal.").Resolve(ctx)
		if err != nil {
			require.Empty(t, hosts)
			return
		}
		fine := false
		for _, h := range hosts {
			_, err := balance.New(balance.Spec{Resolver: balance.Hosts{h}})
			fine = fine || err == nil
		}
		if !fine {
			return
		}
		p := newPool(t, balance.Spec{Resolver: balance.ResolverFunc(func(context.Context) ([]balance.Host, error) { return hosts, nil })})
		require.NoError(t, p.Ready(t.Context()))
		all := p.Hosts()
		require.LessOrEqual(t, len(all), balance.MaxHosts)
		seen := map[string]bool{}
		for i, h := range all {
			_, err := balance.New(balance.Spec{Resolver: balance.Hosts{h.Host}})
			require.NoError(t, err)
			require.False(t, seen[h.Address])
			seen[h.Address] = true
			require.GreaterOrEqual(t, h.Weight, 1)
			require.True(t, i == 0 || all[i-1].Priority <= h.Priority)
		}
	})
}
