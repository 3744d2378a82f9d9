package proxy

import "slices"

// Params are the values of a route's placeholders, each decoded exactly once. The zero value is empty and ready to
// use. A copy is independent of what it was copied from; one value is not safe for concurrent use.
type Params struct {
	pairs []param
	rest  []string
}

type param struct{ name, value string }

// Get returns the value of the named param, or "" where there is none.
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

// Set sets the named param to a value that is not escaped: "a/b" is one segment with a slash in it.
func (p *Params) Set(name, value string) {
	for i := range p.pairs {
		if p.pairs[i].name == name {
			p.pairs = slices.Clone(p.pairs) // a copy may have them
			p.pairs[i].value = value
			return
		}
	}
	p.pairs = append(slices.Clip(p.pairs), param{name, value}) // beyond them a copy may have others
}

// Delete removes the named param. Without one it does nothing.
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

// Rest returns the segments that the route's last * matched, decoded: "a//b%2Fc/" gives "a", "", "b/c" and "". It is
// nil for a route without one. The slice is shared with copies and is only to be read; see [Params.SetRest].
func (p *Params) Rest() []string { return p.rest }

// SetRest sets the segments that a wildcard stands for, not escaped. It keeps them.
func (p *Params) SetRest(segments ...string) { p.rest = segments }
