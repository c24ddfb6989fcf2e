#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the benchmark's events: 213,068 JSON lines (192 MB) in the layout of San Francisco's city lots.
Streets, lot numbers and coordinates are generated (seeded, the same on every run); how often each street, suffix and
house number occurs follows the figures published with the citylots2 benchmark, so that its rule classes match as often
as they do on the real file: rates of different matchers on it can be compared.
usage: gen_citylots2.py LOTS.json LOTS.jlines   (LOTS.jlines: the same lots as spaced GeoJSON with coordinate arrays)"""
import random, sys, math
N=213068
R=random.Random(20240611)
# ---------------- STREET -----------------
need={ 'FULTON':1910,'MASON':2657,'JEFFERSON':131,'BEACH':211,'HYDE':1758,'CHESTNUT':825,'17TH':1619,'FOLSOM':1390,
 'MASONIC':293,'MOULTON':22,'FUNSTON':477,'RHODE ISLAND':328,'BLAKE':200,'BLANKEN':242,'DRUMM':13,'DRUMMOND':25,
 'ACACIA':14,'ACADIA':10,'IRVING':1963,'SANTIAGO':682,'FOERSTER':60,'CRANLEIGH':12,'BIRCH':9}
# FU prefix: FULTON 1910+FUNSTON 477=2387. KE: BLAKE 200 + others 671. BL: BLAKE200+BLANKEN242=442. MM: DRUMM 13
need['LAKE']=671
# suffix ON: FULTON 1910 MASON 2657 JEFFERSON 131 MOULTON 22 FUNSTON 477 ; rest filled
onsum=1910+2657+131+22+477
rest_on=17921-onsum
on_names=['WASHINGTON','JACKSON','MISSION','HARRISON','CLAYTON','MADISON','NELSON','CAMERON','CARSON','ALSTON']
w=[3000,2400,4200,1200,900]; 
for nm,k in zip(on_names,w): need[nm]=k
left=rest_on-sum(w)
for i,nm in enumerate(on_names[5:]): need[nm]=left//5+(left%5 if i==0 else 0)
assert sum(v for k,v in need.items() if k.endswith('ON'))==17921
# regexp B..CH: BEACH 211 + BIRCH 9 = 220
tot=sum(need.values())
filler='MARKET GEARY CALIFORNIA SACRAMENTO CLAY SUTTER BUSH PINE POST ELLIS EDDY TURK GROVE HAYES FELL OAK PAGE HAIGHT WALLER FRANKLIN GOUGH OCTAVIA LAGUNA BUCHANAN WEBSTER FILLMORE STEINER SCOTT DIVISADERO LYON PRESIDIO VALENCIA GUERRERO DOLORES CHURCH SANCHEZ NOE CASTRO DIAMOND 18TH 19TH 20TH 21ST 22ND 23RD 24TH 25TH 26TH 27TH 28TH 29TH 30TH 31ST 32ND 33RD 34TH 35TH 36TH 37TH 38TH 39TH 40TH 41ST 42ND 43RD 44TH 45TH 46TH 47TH 48TH NORIEGA ORTEGA PACHECO QUINTARA RIVERA TARAVAL ULLOA VICENTE WAWONA YORBA KIRKHAM LAWTON2 MORAGA JUDAH HUGO PARNASSUS EUREKA COLLINGWOOD HARTFORD ALABAMA FLORIDA BRYANT YORK HAMPSHIRE POTRERO UTAH VERMONT KANSAS CAROLINA WISCONSIN ARKANSAS CONNECTICUT MISSOURI TEXAS PENNSYLVANIA INDIANA MINNESOTA TENNESSEE ILLINOIS SHOTWELL TREAT LOMBARD GREENWICH FILBERT UNION GREEN VALLEJO BROADWAY PACIFIC LARKIN POLK VANNESS TAYLOR JONES LEAVENWORTH POWELL STOCKTON2 GRANT KEARNY MONTGOMERY SANSOME BATTERY FRONT DAVIS MAIN BEALE SPEAR STEUART SAN_JOSE OCEAN GENEVA ALEMANY NAPLES EDINBURGH PARIS LISBON VIENNA ATHENS MUNICH PRAGUE PERSIA BRAZIL EXCELSIOR SILVER THORNT0N UNKNOWN'.replace('_',' ').split()
filler=[f for f in filler if not f.startswith(('AC','BL','DR','FU','RH','MASO')) and not f.endswith(('ON','KE','MM','ING','GO'))]
ws=[1/(i+8)**0.5 for i in range(len(filler))]
fl=R.choices(filler,ws,k=N-tot)
streets=[s for s,k in need.items() for _ in range(k)]+fl
R.shuffle(streets)
# ---------------- ST_TYPE / ODD_EVEN -----------------
st=['ST']*116386+['CT']*1774+['STWY']*15
lo=N-len(st)
st+=R.choices(['AVE','WAY','DR','TER','BLVD','LN','PL','ALY','CIR','HWY','PZ','RD',None],[700,80,90,60,60,40,30,20,12,5,4,10,150],k=lo)
R.shuffle(st)
nonst=[i for i in range(N) if st[i]!='ST']; R.shuffle(nonst)
odd=[None]*N
for i in nonst[:52527]: odd[i]='O' if R.random()<.97 else None
for i in nonst[52527:]: odd[i]='E'
for i in range(N):
    if st[i]=='ST': odd[i]='E' if R.random()<.5 else 'O'
# ---------------- FROM_ST -----------------
fs=['441']*2453+['44']*60
def n4(p): return p
pre44=3977-2453-60
fs+=['44%d'%R.choice([0,2,3,4,5,6,7,8,9]) for _ in range(pre44)]
suf41=4013-2453
fs+=['%d41'%R.choice([1,2,3,5,6,7,8,9,10,12,15,22]) for _ in range(suf41)]
fs+=['2521']*19
while len(fs)<N:
    x=R.random()
    if x<.05: fs.append(None); continue
    v=str(R.choice([1,1,2,3])*R.randint(0,99) if x<.1 else R.randint(1,3999) if x<.95 else R.randint(1,50))
    if v.startswith('44') or v.endswith('41') or v=='2521': continue
    fs.append(v)
R.shuffle(fs)
# R1: exactly one FOERSTER with 755
fo=[i for i in range(N) if streets[i]=='FOERSTER']
for i in fo:
    if fs[i]=='755': fs[i]='757'
for i in fo:
    if fs[i] is not None and not fs[i].startswith('44') and not fs[i].endswith('41') and fs[i]!='2521': fs[i]='755'; break
# ---------------- lots -----------------
import re
w1=re.compile(r'2.*0.*1.*7$'); w2=re.compile(r'3.*5.*2$')
def bad(m): return m.startswith('143') or w1.match(m) or m.endswith('218') or w2.match(m) or (m.startswith('VA') and m.endswith('IL'))
def rnd():
    b='%04d%s'%(R.randint(1,7400),R.choice(['']*30+['A','B'])); l='%03d%s'%(R.randint(1,130),R.choice(['']*40+['A','B','C']))
    return b,l
M=[]
M+=[('1430','022')]+[('2607','117')]*101+[('2607','218')]*35+[('3745','012')]*655+[('VACST','WIL')]
for k in range(489): 
    while True:
        b,l='143%d'%R.randint(0,9),'%03d'%R.randint(1,99)
        if (b,l)!=('1430','022') and not l.endswith('218'): break
    M.append((b,l))
def quota(n,gen,test):
    c=0
    while c<n:
        b,l=gen(); m=b+l
        if test(m): M.append((b,l)); c+=1
quota(713-101,lambda:('2%03d'%R.randint(0,999),'%03d'%R.randint(1,129)),lambda m:w1.match(m) and not m.endswith('218') and m!='2607117')
quota(43-35,lambda:('%04d'%R.randint(4000,7000),'218'),lambda m:not w1.match(m) and not w2.match(m))
quota(2540-655,lambda:('3%03d'%R.randint(0,999),'%03d'%R.randint(1,129)),lambda m:w2.match(m) and not m.endswith('218') and m!='3745012')
special=len(M)
cond=[]
while len(M)<N:
    b,l=rnd(); m=b+l
    if bad(m) or b in('2183','3789','3027A'): continue
    k=1 if R.random()<.72 else min(R.choice([2,2,3,4,6,8,12,24,40]),N-len(M))
    for j in range(k): M.append((b,l))
assert len(M)==N
# order: blocks ascending like the original, so equal MAPBLKLOT are neighbours
M.sort()
BN=[b for b,l in M]
idx=list(range(N))
# R2..R7 quotas on BLOCK_NUM: override BLKLOT-side BLOCK_NUM of plain records (MAPBLKLOT untouched)
plain=[i for i in idx if not bad(M[i][0]+M[i][1])]; R.shuffle(plain)
blk=list(BN); p=0
for _ in range(59): blk[plain[p]]='3027A'; p+=1
c=0
while c<27:
    i=plain[p]; p+=1
    if odd[i]=='E': blk[i]='2183'; c+=1
c=0
while c<527:
    i=plain[p]; p+=1
    if st[i]=='ST': blk[i]='3789'; c+=1
# ---------------- geometry -----------------
X0=-122.41600944012424; XL=-122.46471267081272; XH=-122.4063085128395; XE=-122.42916360922355
YE=37.729900216217324
# first x: <X0:148948, >X0:64120 ; in (XL,XH):127053. Let a = count in (XL,X0), b = in (X0,XH): a+b=127053
a=100000; b=127053-a
kinds=['lo']*(148948-a)+['a']*a+['b']*b+['hi']*(64120-b)
R.shuffle(kinds)
multi=set(R.sample(range(N),120)); multl=sorted(multi)
# any-vertex counts: any<X0:149446 (498 more, taken from first>X0), any>X0: 64368 (248 from first<X0), any in range 127485 (432 more)
hi=[i for i in range(N) if kinds[i]=='hi']; lo_=[i for i in range(N) if kinds[i]=='lo']; bb=[i for i in range(N) if kinds[i]=='b']; aa=[i for i in range(N) if kinds[i]=='a']
R.shuffle(hi);R.shuffle(lo_);R.shuffle(bb);R.shuffle(aa)
extra={}
# 200 lo lots and 232 hi lots get a vertex inside the range: lo->a side (x<X0), hi->b side (x>X0): +432 range only
for i in lo_[:200]: extra[i]='a'
for i in hi[:232]: extra[i]='b'
# 498 b lots get a vertex in a (already in range): any<X0 +498 ; 248 a lots get a vertex in b: any> +248
for i in bb[:498]: extra[i]='a'
for i in aa[:248]: extra[i]='b'
# XE: first 2 polygons, 216 more polygons with XE as a later vertex (must be 'a' kind: XL<XE<X0 true)
pa=[i for i in aa[1000:] if i not in multi]
xe_first=set(pa[:2]); xe_later=set(pa[2:218])
ye_multi=multl[0]
def xin(k):
    if k=='lo': return R.uniform(-122.5148,XL-1e-3)
    if k=='a': return R.uniform(XL+1e-3,X0-1e-3)
    if k=='b': return R.uniform(X0+1e-4,XH-1e-4)
    return R.uniform(XH+1e-3,-122.3575)
def nvert():
    r=R.random()
    if r<.62: return 5
    if r<.70: return 6
    if r<.76: return 7
    if r<.81: return 8
    if r<.85: return 9
    return min(10+int(R.expovariate(1/29.0)),400)
out2=open(sys.argv[1],'w'); out1=open(sys.argv[2],'w') if len(sys.argv)>2 else None
def js(v): return 'null' if v is None else '"%s"'%v
nz=0
for i in range(N):
    b,l=M[i]; k=kinds[i]; s=streets[i]
    m=b+l
    ismult=i in multi
    x0=XE if i in xe_first else xin(k); y0=R.uniform(37.708,37.833)
    n=nvert(); pts=[(x0,y0)]
    for j in range(n-2):
        x=x0+R.uniform(-4e-4,4e-4); 
        lim={'lo':(-123,XL),'a':(XL,X0),'b':(X0,XH),'hi':(XH,-122)}[k]
        if not lim[0]<x<lim[1]: x=x0
        pts.append((x,y0+R.uniform(-4e-4,4e-4)))
    if i in extra: pts[1]=(xin(extra[i]),pts[1][1])
    if i in xe_later: pts[-1]=(XE,pts[-1][1])
    if i==ye_multi: pts[1]=(pts[1][0],YE)
    pts.append(pts[0])
    blkl=blk[i]+(l if M[i-1]!=M[i] else '%03d'%R.randint(1,299))
    lot=blkl[len(blk[i]):]
    f=fs[i]; t=f if f is None or R.random()<.9 else str(int(f)+2*R.randint(0,9))
    props=[('MAPBLKLOT',m),('BLKLOT',blkl),('BLOCK_NUM',blk[i]),('LOT_NUM',lot),('FROM_ST',f),('TO_ST',t),('STREET',s),('ST_TYPE',st[i]),('ODD_EVEN',odd[i])]
    v=['{"x":%r,"y":%r,"z":0.0}'%(x,y) for x,y in pts]
    ring='['+','.join(v)+']'
    co='[['+ring+']' + ']' if ismult else '['+ring+']'
    typ='MultiPolygon' if ismult else 'Polygon'
    line='{"type":"Feature","properties":{'+','.join('"%s":%s'%(a_,js(b_)) for a_,b_ in props)+'},"geometry":{"type":"%s","coordinates":%s,"firstCoordinates":%s}}'%(typ,co,v[0])
    out2.write(line+'\n')
    if out1:
        v1=', '.join('[ %.15f, %.15f, 0.0 ]'%(x,y) for x,y in pts)
        ring='[ '+v1+' ]'
        co='[ [ '+ring+' ] ]' if ismult else '[ '+ring+' ]'
        out1.write('{ "type": "Feature", "properties": { '+', '.join('"%s": %s'%(a_,js(b_)) for a_,b_ in props)+' }, "geometry": { "type": "%s", "coordinates": %s } }\n'%(typ,co))
out2.close()
if out1: out1.close()
