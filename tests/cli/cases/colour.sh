# Colour is for terminals without NO_COLOR.
escape=$(printf '\033')
on_terminal tessera inspect nowhere && exit 1
grep -q "$escape\[1;31merror:" out
NO_COLOR=1 on_terminal tessera inspect nowhere && exit 1
grep -q "^error:" out
exits 3 tessera inspect nowhere
grep -q "^error:" err
