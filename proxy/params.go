package proxy

import "slices"

// Params holds the values of a route's placeholders, each decoded exactly once. The zero value is
// empty and ready to use. A copy is independent of the original. A Params value is not safe for
// concurrent use.
type Params struct {
	pairs []param
	rest  []string
}

type param struct{ name, value string }

// Get returns the value of the named param, or "" if it is not set.
func (p *Params) Get(name string) string {
	value, _ := p.Lookup(name)
	return value
}

// Lookup returns the value of the named param and whether it is set.
func (p *Params) Lookup(name string) (string, bool) {
	for i := range p.pairs {
		if p.pairs[i].name == name {
			return p.pairs[i].value, true
		}
	}
	return "", false
}

// Set sets the named param to a value that is not escaped: "a/b" is one segment that contains a
// slash.
func (p *Params) Set(name, value string) {
	for i := range p.pairs {
		if p.pairs[i].name == name {
			p.pairs = slices.Clone(p.pairs) // a copy may share them
			p.pairs[i].value = value
			return
		}
	}
	p.pairs = append(slices.Clip(p.pairs), param{name, value}) // a copy may have appended others after them
}

// Delete removes the named param. If it is not set, Delete does nothing.
func (p *Params) Delete(name string) {
	p.pairs = slices.DeleteFunc(slices.Clone(p.pairs), func(q param) bool { return q.name == name })
}

// Names returns the names of the params in the order they were set.
func (p *Params) Names() []string {
	names := make([]string, len(p.pairs))
	for i := range p.pairs {
		names[i] = p.pairs[i].name
	}
	return names
}

// Rest returns the segments that the trailing * of the route matched, decoded: "a//b%2Fc/" gives
// "a", "", "b/c" and "". It is nil for a route without a trailing *. The slice is shared with
// copies and must not be changed; see [Params.SetRest].
func (p *Params) Rest() []string { return p.rest }

// SetRest sets the segments that a wildcard stands for; they are not escaped. It keeps the slice.
func (p *Params) SetRest(segments ...string) { p.rest = segments }
