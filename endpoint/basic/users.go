package basic

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/proxy"
)

// A User is someone who may authenticate with a password.
type User struct {
	Name string // without a colon; not ""

	// Hash is the bcrypt hash of the password, as in "$2a$12$…": 60 characters, of a cost up to 16. Each
	// step of the cost doubles the time of a request; a cost of 12 takes about a quarter of a second.
	Hash string

	Roles []string // what the user is; nil is none
}

// maxCost is the highest cost of a hash. Above it a request takes more than some seconds.
const maxCost = 16

// ParseHtpasswd returns the users in the text of a file that htpasswd -B has written: lines with a name, a
// colon and a bcrypt hash. Empty lines, and lines that begin with #, are skipped. The error joins all other
// lines, such as those with another kind of hash, by their numbers.
func ParseHtpasswd(text []byte) ([]User, error) {
	var users []User
	var errs []error
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, hash, _ := strings.Cut(line, ":")
		user := User{Name: name, Hash: hash}
		if _, err := newEntry(user); err != nil {
			errs = append(errs, fmt.Errorf("basic: line %d: %w", n, err))
			continue
		}
		users = append(users, user)
	}
	if err := lines.Err(); err != nil {
		errs = append(errs, fmt.Errorf("basic: %w", err))
	}
	return users, errors.Join(errs...)
}

// A directory is the users of one time. It is not changed.
type directory struct {
	named   map[string]*entry
	highest int // cost of the hashes
}

// An entry is one user.
type entry struct {
	hash   []byte
	cost   int
	caller *proxy.Caller
}

func newDirectory(users []User) (*directory, error) {
	d := &directory{named: make(map[string]*entry, len(users))}
	var errs []error
	if len(users) == 0 {
		errs = append(errs, errors.New("basic: there are no users"))
	}
	for i, user := range users {
		e, err := newEntry(user)
		if err != nil {
			errs = append(errs, fmt.Errorf("basic: user %d (%s): %w", i+1, user.Name, err))
			continue
		}
		if d.named[user.Name] != nil {
			errs = append(errs, fmt.Errorf("basic: user %d (%s): another user has the name", i+1, user.Name))
		}
		d.named[user.Name], d.highest = e, max(d.highest, e.cost)
	}
	return d, errors.Join(errs...)
}

func newEntry(user User) (*entry, error) {
	if user.Name == "" || strings.Contains(user.Name, ":") || !isText(user.Name) {
		return nil, errors.New("the name is empty, or has a colon or a control character")
	}
	cost, err := bcrypt.Cost([]byte(user.Hash))
	if err != nil || len(user.Hash) != hashSize || cost > maxCost || strings.Trim(user.Hash[hashSize-53:], alphabet) != "" {
		return nil, fmt.Errorf("the hash is not one of bcrypt with a cost of up to %d", maxCost) // the text may be a password
	}
	caller := auth.APIKey{Name: user.Name, Roles: user.Roles}.Caller() // with the same claims
	caller.Scheme = "basic"
	return &entry{hash: []byte(user.Hash), cost: cost, caller: caller}, nil
}

// hashSize is how long the text of a hash is. Its last 53 characters, the salt and the hash, are of the
// alphabet.
const (
	hashSize = 60
	alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// dummies are hashes of each cost, to be compared where only the time matters. Nobody has such a password,
// and nobody comes in with one.
var dummies = func() (all [maxCost + 1][]byte) {
	for cost := range all {
		all[cost] = fmt.Appendf(nil, "$2a$%02d$%s", cost, strings.Repeat("a", 22)+strings.Repeat("b", 31))
	}
	return all
}()
