# Runs a command, and reaps the processes that its own ones leave behind. They would go to pid 1, which in a container may
# reap late or never: with thousands of zombies, each scan of all processes takes long.
use strict;

my %prctl = (x86_64 => 157, aarch64 => 167); # <asm/unistd.h>
my $machine = (POSIX::uname())[4];
syscall($prctl{$machine}, 36, 1, 0, 0, 0) if $prctl{$machine}; # PR_SET_CHILD_SUBREAPER, <linux/prctl.h>

my $child = fork // die "fork: $!\n";
if (!$child) {
  exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!\n";
}
$SIG{INT} = 'IGNORE'; # the terminal sends it to the child, too
$SIG{$_} = sub { kill $_[0], $child } for qw(TERM HUP);
my $ended;
do { $ended = wait } until $ended == $child || ($ended == -1 && !$!{EINTR});
exit($? & 127 ? 128 + ($? & 127) : $? >> 8);

use POSIX ();
use Errno;
