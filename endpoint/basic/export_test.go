package basic

import "golang.org/x/crypto/bcrypt"

// CountWork makes p tell f the cost of each hash that it computes.
func (p *Passwords) CountWork(f func(cost int)) {
	p.hash = func(hash, password []byte) error {
		cost, err := bcrypt.Cost(hash)
		if err != nil {
			panic(err) // else it is no work
		}
		f(cost)
		if err = bcrypt.CompareHashAndPassword(hash, password); err != nil && err != bcrypt.ErrMismatchedHashAndPassword {
			panic(err)
		}
		return err
	}
}
